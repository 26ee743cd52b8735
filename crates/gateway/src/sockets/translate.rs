//! Between the router's messages and the session's values.

use bulkhead_msync::codec::RoomFacts;
use bulkhead_msync::proto::statistics_body::Operation;
use bulkhead_msync::{Ack, Delivery, Page, Position, Publish, Queue, QueueKind, codec};
use bulkhead_proto::router::{self, KickReason, PublishRequest, Published, QueuePosition, UnreadQueue};
use bytes::Bytes;

/// A delivery for these devices; encoded once, and only if one of them gets it: most senders have a single device, for
/// which its own message is nothing but an id. `None` without a queue, which no router sends.
pub(super) fn delivery<'a>(
    delivery: router::Delivery,
    mut devices: impl Iterator<Item = &'a str>,
) -> Option<Delivery> {
    let user = delivery.user;
    let mut translated = Delivery {
        queue: queue(delivery.queue?),
        id: delivery.id,
        previous_id: delivery.previous_id,
        transient: delivery.transient,
        except_user: String::new(),
        except_device: delivery.except_device,
        only_device: delivery.only_device,
        only_users: Vec::new(),
        frame: Bytes::new(),
    };
    if devices.any(|device| translated.is_for(&user, device)) {
        translated.frame = codec::delivery(&translated.queue, &delivery.meta);
    }
    Some(translated)
}

/// The same for a group or room and these users' devices.
pub(super) fn channel_delivery<'a>(
    delivery: router::ChannelDelivery,
    mut devices: impl Iterator<Item = (&'a str, &'a str)>,
) -> Option<Delivery> {
    let mut translated = Delivery {
        queue: queue(delivery.queue?),
        id: delivery.id,
        previous_id: delivery.previous_id,
        transient: delivery.transient,
        except_user: delivery.except_user,
        except_device: delivery.except_device,
        only_device: String::new(),
        only_users: delivery.only_users,
        frame: Bytes::new(),
    };
    if devices.any(|(user, device)| translated.is_for(user, device)) {
        translated.frame = codec::delivery(&translated.queue, &delivery.meta);
    }
    Some(translated)
}

pub(super) fn queue(queue: router::Queue) -> Queue {
    let kind = match queue.kind() {
        router::QueueKind::Direct => QueueKind::Direct,
        router::QueueKind::Group => QueueKind::Group,
        router::QueueKind::Room => QueueKind::Room,
        router::QueueKind::Thread => QueueKind::Thread,
    };
    Queue::new(kind, &queue.name)
}

pub(super) fn router_queue(queue: &Queue) -> router::Queue {
    let kind = match queue.kind {
        QueueKind::Direct => router::QueueKind::Direct,
        QueueKind::Group => router::QueueKind::Group,
        QueueKind::Room => router::QueueKind::Room,
        QueueKind::Thread => router::QueueKind::Thread,
    };
    router::Queue { name: queue.name.as_ref().to_owned(), kind: kind.into() }
}

pub(super) fn counts(queues: Vec<UnreadQueue>) -> Vec<(Queue, u64)> {
    queues.into_iter().filter_map(|unread| Some((queue(unread.queue?), unread.count))).collect()
}

pub(super) fn page(page: router::Page) -> Page {
    let metas = page.messages.into_iter().map(|message| message.meta).collect();
    Page { metas, next_key: page.next_key, is_last: page.is_last }
}

pub(super) fn room_facts(joined: router::Joined) -> RoomFacts {
    let room = joined.channel.unwrap_or_default();
    RoomFacts { created_ms: room.created_ms, member_count: room.member_count }
}

pub(super) fn positions(positions: &[Position]) -> Vec<QueuePosition> {
    positions
        .iter()
        .map(|position| QueuePosition { queue: Some(router_queue(&position.queue)), id: position.id })
        .collect()
}

/// The kinds of message and of content have the same numbers on the wire and in the records.
pub(super) fn publish(publish: Publish, app: &Bytes, user: &str, device: &str) -> PublishRequest {
    PublishRequest {
        app: app.clone(),
        from_user: user.to_owned(),
        from_device: device.to_owned(),
        to: Some(router_queue(&publish.to)),
        to_device: publish.to_device,
        client_id: publish.client_id,
        kind: publish.kind.into(),
        content: publish.content.into(),
        target_id: publish.target_id,
        payload: publish.payload,
        meta_ext: publish.extensions,
        online_only: publish.online_only,
        administrative: false,
        sync_devices: publish.sync_devices,
        history_hidden_for: Vec::new(),
        only_users: publish.only_users,
    }
}

pub(super) fn ack(published: Published) -> Ack {
    Ack {
        id: published.id,
        timestamp_ms: published.timestamp_ms,
        previous_id: published.previous_id,
        transient: published.transient,
        notify: published.notify,
    }
}

pub(super) fn operation(reason: KickReason) -> Operation {
    match reason {
        KickReason::Unspecified => Operation::Information,
        KickReason::UserRemoved => Operation::UserRemoved,
        KickReason::AnotherDevice => Operation::UserLoginAnotherDevice,
        KickReason::PasswordChanged => Operation::UserKickedByChangePassword,
        KickReason::OtherDevice => Operation::UserKickedByOtherDevice,
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_msync::proto::message_body::{Type, content};
    use bulkhead_proto::records::{ContentKind, MessageKind};

    use super::*;

    #[test]
    fn kinds_of_message_and_content_have_the_same_numbers_on_both_sides() {
        for number in 0..32 {
            let (wire, record) = (Type::try_from(number), MessageKind::try_from(number));
            assert_eq!(wire.is_ok(), record.is_ok(), "message {number}");
            if let (Ok(wire), Ok(record)) = (wire, record) {
                assert!(record.as_str_name().ends_with(wire.as_str_name()), "message {number}");
            }
            let (wire, record) = (content::Type::try_from(number), ContentKind::try_from(number));
            assert_eq!(wire.is_ok(), record.is_ok(), "content {number}");
            if let (Ok(wire), Ok(record)) = (wire, record) {
                assert!(record.as_str_name().ends_with(wire.as_str_name()), "content {number}");
            }
        }
    }

    #[test]
    fn queues_read_back() {
        for kind in [QueueKind::Direct, QueueKind::Group, QueueKind::Room, QueueKind::Thread] {
            let original = Queue::new(kind, "x");
            assert_eq!(queue(router_queue(&original)), original);
        }
    }
}
