//! What the server sends (msync.md §2–§5, §9).

use bytes::Bytes;
use prost::Message as _;

use crate::proto::m_sync::Command;
use crate::proto::meta::NameSpace;
use crate::proto::statistics_body::Operation;
use crate::proto::{
    CommNotice, CommSyncDl, CommUnreadDl, Jid, MSync, Meta, MetaQueue, Provision, StatisticsBody, Status,
};
use crate::queue::{Queue, USER_DOMAIN};
use crate::wire::{Writer, bytes_field_len, number_field_len};

/// `Meta.meta`, field 9, of what is pushed to a session that is online.
const ONLINE: &[u8] = b"\x4a\x0f{\"is_online\":1}";
/// The same for what waited for its receiver.
const OFFLINE: &[u8] = b"\x4a\x0f{\"is_online\":0}";

/// `CommSyncDL.status`, field 1, empty: present, because clients read it without looking, and OK by default.
const STATUS_OK: &[u8] = b"\x0a\x00";
/// `CommSyncDL.isLast`, field 7, true.
const IS_LAST: &[u8] = b"\x38\x01";

/// Acknowledges a sent message; `notify` is the JSON that goes with an edit's acknowledgement, or empty.
pub fn send_ack(client_id: u64, id: u64, timestamp_ms: u64, notify: &[u8]) -> Bytes {
    // Meta { from: {}, ns: NOTIFY, payload: notify }
    let meta_len = 4 + bytes_field_len(notify.len());
    let metas_len = if notify.is_empty() { 0 } else { bytes_field_len(meta_len) };
    // The status says OK in words: `send()` of the SDK waits for it.
    let status = b"\x0a\x02\x08\x00";
    let length = status.len()
        + number_field_len(client_id)
        + number_field_len(id)
        + metas_len
        + number_field_len(timestamp_ms);
    sync_frame(length, |frame| {
        frame.raw(status);
        frame.number(2, client_id);
        frame.number(3, id);
        if !notify.is_empty() {
            frame.open(4, meta_len);
            frame.bytes(2, &[]);
            frame.number(5, NameSpace::Notify as u64);
            frame.bytes(6, notify);
        }
        frame.number(8, timestamp_ms);
    })
}

/// Why a sent message is refused: what the SDK matches on (msync.md §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusedSend<'a> {
    /// A `Status.ErrorCode`.
    pub code: i32,
    pub reason: &'a str,
}

/// Refuses a sent message.
pub fn send_refused(client_id: u64, refusal: RefusedSend<'_>, timestamp_ms: u64) -> Bytes {
    let code = refusal.code as u64;
    let status_len = number_field_len(code) + bytes_field_len(refusal.reason.len());
    let length = bytes_field_len(status_len) + number_field_len(client_id) + number_field_len(timestamp_ms);
    sync_frame(length, |frame| {
        frame.open(1, status_len);
        frame.number(1, code);
        frame.bytes(2, refusal.reason.as_bytes());
        frame.number(2, client_id);
        frame.number(8, timestamp_ms);
    })
}

/// Pushes one message. `meta` is an encoded `Meta` without field 9. The same bytes serve every session of the user.
pub fn delivery(queue: &Queue, meta: &[u8]) -> Bytes {
    let meta_len = meta.len() + ONLINE.len();
    let jid_len = jid_len(queue);
    let length = STATUS_OK.len() + bytes_field_len(meta_len) + bytes_field_len(jid_len) + IS_LAST.len();
    sync_frame(length, |frame| {
        frame.raw(STATUS_OK);
        frame.open(4, meta_len);
        frame.raw(meta);
        frame.raw(ONLINE);
        frame.open(6, jid_len);
        write_jid(frame, queue);
        frame.raw(IS_LAST);
    })
}

/// A page that answers a pull; never empty, and never the last: the client asks again with `next_key`, which proves that
/// it has the page, and gets [`pull_finished`] (msync.md §3).
pub fn page<'a>(
    queue: &Queue,
    metas: impl Iterator<Item = &'a [u8]> + Clone,
    next_key: u64,
    was_online: bool,
    timestamp_ms: u64,
) -> Bytes {
    let online = if was_online { ONLINE } else { OFFLINE };
    let jid_len = jid_len(queue);
    let metas_len: usize = metas.clone().map(|meta| bytes_field_len(meta.len() + online.len())).sum();
    let length = STATUS_OK.len()
        + metas_len
        + number_field_len(next_key)
        + bytes_field_len(jid_len)
        + number_field_len(0)
        + number_field_len(timestamp_ms);
    sync_frame(length, |frame| {
        frame.raw(STATUS_OK);
        for meta in metas {
            frame.open(4, meta.len() + online.len());
            frame.raw(meta);
            frame.raw(online);
        }
        frame.number(5, next_key);
        frame.open(6, jid_len);
        write_jid(frame, queue);
        frame.number(7, 0);
        frame.number(8, timestamp_ms);
    })
}

/// Ends a pull: nothing follows at this instant.
pub fn pull_finished(queue: &Queue, timestamp_ms: u64) -> Bytes {
    let jid_len = jid_len(queue);
    let length = STATUS_OK.len() + bytes_field_len(jid_len) + IS_LAST.len() + number_field_len(timestamp_ms);
    sync_frame(length, |frame| {
        frame.raw(STATUS_OK);
        frame.open(6, jid_len);
        write_jid(frame, queue);
        frame.raw(IS_LAST);
        frame.number(8, timestamp_ms);
    })
}

/// Tells the client to pull a queue.
pub fn notice(queue: &Queue) -> Bytes {
    frame(Command::Notice, &CommNotice { queue: Some(jid_of(queue)) })
}

/// Answers which queues have messages, and how many; also the answer to a keep-alive.
pub fn unread<'a>(queues: impl Iterator<Item = (&'a Queue, u64)>, timestamp_ms: u64) -> Bytes {
    let unread = queues
        .map(|(queue, count)| MetaQueue {
            queue: Some(jid_of(queue)),
            n: Some(u32::try_from(count).unwrap_or(u32::MAX)),
        })
        .collect();
    let answer = CommUnreadDl { status: Some(Status::default()), unread, timestamp: Some(timestamp_ms) };
    frame(Command::Unread, &answer)
}

/// Answers a login. `expires_ms` is when the credential ends, in Unix milliseconds; 0 for never.
pub fn logged_in(device: &str, expires_ms: u64) -> Bytes {
    let answer = Provision {
        status: Some(Status { error_code: Some(0), reason: None }),
        resource: Some(device.to_owned()),
        auth_token: (expires_ms != 0).then(|| format!(r#"{{"expires_in":{expires_ms}}}"#)),
        ..Provision::default()
    };
    frame(Command::Provision, &answer)
}

/// Refuses a login.
pub fn login_refused(device: &str, code: i32, reason: &str) -> Bytes {
    let answer = Provision {
        status: Some(Status { error_code: Some(code), reason: Some(reason.to_owned()) }),
        resource: Some(device.to_owned()),
        ..Provision::default()
    };
    frame(Command::Provision, &answer)
}

/// The one frame that keeps a client from reconnecting (msync.md §9).
pub fn kick(user: &str, operation: Operation, detail: &str, now_ms: u64) -> Bytes {
    let user = Jid { name: Some(user.to_owned()), domain: Some(USER_DOMAIN.to_owned()), ..Jid::default() };
    let body = StatisticsBody { operation: Some(operation.into()), reason: Some(detail.to_owned()) };
    let meta = Meta {
        id: Some(now_ms),
        from: Some(user.clone()),
        timestamp: Some(now_ms),
        ns: Some(NameSpace::Statistic.into()),
        payload: Some(body.encode_to_vec().into()),
        ..Meta::default()
    };
    let sync = CommSyncDl {
        status: Some(Status::default()),
        metas: vec![meta],
        queue: Some(user),
        is_last: Some(true),
        timestamp: Some(now_ms),
        ..CommSyncDl::default()
    };
    frame(Command::Sync, &sync)
}

fn jid_of(queue: &Queue) -> Jid {
    Jid {
        name: Some(queue.name.as_ref().to_owned()),
        domain: Some(queue.domain().to_owned()),
        ..Jid::default()
    }
}

fn jid_len(queue: &Queue) -> usize {
    bytes_field_len(queue.name.len()) + bytes_field_len(queue.domain().len())
}

fn write_jid(frame: &mut Writer, queue: &Queue) {
    frame.bytes(2, queue.name.as_bytes());
    frame.bytes(3, queue.domain().as_bytes());
}

/// A SYNC frame around a `CommSyncDL` of this length.
fn sync_frame(length: usize, write: impl FnOnce(&mut Writer)) -> Bytes {
    let command = Command::Sync as u64;
    let mut frame = Writer::with_room_for(number_field_len(command) + bytes_field_len(length));
    frame.number(8, command);
    frame.open(9, length);
    write(&mut frame);
    frame.finish()
}

fn frame(command: Command, payload: &impl prost::Message) -> Bytes {
    let frame = MSync {
        command: Some(command.into()),
        payload: Some(payload.encode_to_vec().into()),
        ..MSync::default()
    };
    frame.encode_to_vec().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::queue::QueueKind;

    fn open(frame: Bytes, command: Command) -> Bytes {
        let frame = MSync::decode(frame).unwrap();
        assert_eq!(frame.command, Some(command.into()));
        frame.payload.unwrap()
    }

    fn sync(frame: Bytes) -> CommSyncDl {
        CommSyncDl::decode(open(frame, Command::Sync)).unwrap()
    }

    fn a_meta(id: u64, payload: Vec<u8>) -> Meta {
        Meta {
            id: Some(id),
            from: Some(Jid::default()),
            ns: Some(NameSpace::Chat.into()),
            payload: Some(payload.into()),
            ..Meta::default()
        }
    }

    fn with_online(meta: &Meta, online: &'static str) -> Meta {
        Meta { meta: Some(Bytes::from_static(online.as_bytes())), ..meta.clone() }
    }

    fn any_queue() -> impl Strategy<Value = Queue> {
        let kinds = [QueueKind::Direct, QueueKind::Group, QueueKind::Room, QueueKind::Thread];
        ("[a-z0-9]{1,64}", prop::sample::select(kinds.to_vec()))
            .prop_map(|(name, kind)| Queue::new(kind, &name))
    }

    proptest! {
        #[test]
        fn an_acknowledgement_reads_back(client_id: u64, id: u64, timestamp: u64, notify in ".{0,200}") {
            let sync = sync(send_ack(client_id, id, timestamp, notify.as_bytes()));
            let metas = if notify.is_empty() {
                vec![]
            } else {
                vec![Meta {
                    from: Some(Jid::default()),
                    ns: Some(NameSpace::Notify.into()),
                    payload: Some(notify.into_bytes().into()),
                    ..Meta::default()
                }]
            };
            prop_assert_eq!(sync, CommSyncDl {
                status: Some(Status { error_code: Some(0), reason: None }),
                meta_id: Some(client_id),
                server_id: Some(id),
                metas,
                timestamp: Some(timestamp),
                ..CommSyncDl::default()
            });
        }

        #[test]
        fn a_refusal_reads_back(client_id: u64, code in 0i32..20, reason in ".{0,200}", timestamp: u64) {
            let sync = sync(send_refused(client_id, RefusedSend { code, reason: &reason }, timestamp));
            prop_assert_eq!(sync, CommSyncDl {
                status: Some(Status { error_code: Some(code), reason: Some(reason) }),
                meta_id: Some(client_id),
                timestamp: Some(timestamp),
                ..CommSyncDl::default()
            });
        }

        #[test]
        fn a_delivery_reads_back(queue in any_queue(), id: u64, payload in prop::collection::vec(any::<u8>(), 0..6000)) {
            let meta = a_meta(id, payload);
            let sync = sync(delivery(&queue, &meta.encode_to_vec()));
            prop_assert_eq!(sync, CommSyncDl {
                status: Some(Status::default()),
                metas: vec![with_online(&meta, r#"{"is_online":1}"#)],
                queue: Some(jid_of(&queue)),
                is_last: Some(true),
                ..CommSyncDl::default()
            });
        }

        #[test]
        fn a_page_reads_back(
            queue in any_queue(),
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..50),
            next_key: u64,
            timestamp: u64,
            was_online: bool,
        ) {
            let metas: Vec<Meta> = payloads.into_iter().map(|payload| a_meta(1, payload)).collect();
            let encoded: Vec<Vec<u8>> = metas.iter().map(|meta| meta.encode_to_vec()).collect();
            let parts = encoded.iter().map(Vec::as_slice);
            let sync = sync(page(&queue, parts, next_key, was_online, timestamp));
            let online = if was_online { r#"{"is_online":1}"# } else { r#"{"is_online":0}"# };
            prop_assert_eq!(sync, CommSyncDl {
                status: Some(Status::default()),
                metas: metas.iter().map(|meta| with_online(meta, online)).collect(),
                next_key: Some(next_key),
                queue: Some(jid_of(&queue)),
                is_last: Some(false),
                timestamp: Some(timestamp),
                ..CommSyncDl::default()
            });
        }

        #[test]
        fn the_end_of_a_pull_reads_back(queue in any_queue(), timestamp: u64) {
            prop_assert_eq!(sync(pull_finished(&queue, timestamp)), CommSyncDl {
                status: Some(Status::default()),
                queue: Some(jid_of(&queue)),
                is_last: Some(true),
                timestamp: Some(timestamp),
                ..CommSyncDl::default()
            });
        }
    }

    #[test]
    fn the_other_frames_read_back() {
        let queue = Queue::new(QueueKind::Direct, "bob");
        let notice = CommNotice::decode(open(notice(&queue), Command::Notice)).unwrap();
        assert_eq!(notice.queue, Some(jid_of(&queue)));
        let unread =
            CommUnreadDl::decode(open(unread([(&queue, 3)].into_iter(), 5), Command::Unread)).unwrap();
        assert_eq!((unread.unread[0].n, unread.timestamp), (Some(3), Some(5)));
        assert!(unread.status.is_some());
        let kicked = sync(kick("alice", Operation::UserLoginAnotherDevice, "words", 9));
        let body = StatisticsBody::decode(kicked.metas[0].payload.clone().unwrap()).unwrap();
        assert_eq!(body.operation(), Operation::UserLoginAnotherDevice);
        assert_eq!(body.reason(), "words");
        assert!(kicked.status.is_some() && kicked.queue.is_some() && kicked.metas[0].from.is_some());
    }

    #[test]
    fn the_answer_to_a_login_names_the_device_and_when_the_credential_ends() {
        let answer = |frame| Provision::decode(open(frame, Command::Provision)).unwrap();
        let ends = answer(logged_in("webim_1", 1_800_000_000_000));
        assert_eq!(ends.auth_token(), r#"{"expires_in":1800000000000}"#);
        assert_eq!(ends.resource(), "webim_1");
        assert_eq!(ends.status.unwrap().error_code, Some(0));
        assert_eq!(answer(logged_in("webim_1", 0)).auth_token, None);
        let refused = answer(login_refused("webim_1", 1, "Sorry, token expired")).status.unwrap();
        assert_eq!((refused.error_code, refused.reason()), (Some(1), "Sorry, token expired"));
    }
}
