//! A client sends (msync.md §4).

use bulkhead_model::limits::MESSAGE_BYTES_MAX;
use bulkhead_model::{Error, ErrorKind, fold_username, username_is_legal};

use super::command::Publish;
use super::queues::State;
use super::refusal::send_refusal;
use super::{CloseReason, Command, Phase, Session};
use crate::codec::{self, Body, UpMessage};
use crate::proto::message_body::Type;
use crate::proto::meta::{NameSpace, RouteType};
use crate::queue::{Queue, QueueKind};

/// A message that is acknowledged.
#[derive(Clone, Debug, Default)]
pub struct Ack {
    pub id: u64,
    pub timestamp_ms: u64,
    /// The id before it in the sender's view of the queue.
    pub previous_id: u64,
    /// Not in the log.
    pub transient: bool,
    /// The JSON of an edit's acknowledgement; empty otherwise.
    pub notify: bytes::Bytes,
}

impl Session {
    pub(super) fn publish(&mut self, message: UpMessage, now_ms: u64, out: &mut Vec<Command>) {
        if message.namespace == NameSpace::Muc {
            return self.room(&message, now_ms, out);
        }
        if message.namespace != NameSpace::Chat {
            return refuse(message.client_id, &ErrorKind::Unimplemented.into(), now_ms, out);
        }
        let Ok(body) = codec::read_body(&message.payload) else {
            return self.close(CloseReason::Malformed, out);
        };
        match addressed(&message, &body) {
            Ok(to) => {
                let is_directed = message.route == RouteType::RouteDirect && to.kind != QueueKind::Direct;
                let only_users = if is_directed { message.only_users } else { Vec::new() };
                self.in_flight += 1;
                out.push(Command::Publish(Box::new(Publish {
                    client_id: message.client_id,
                    to,
                    to_device: message.to_device,
                    kind: body.kind,
                    content: body.content,
                    target_id: body.target_id,
                    payload: message.payload,
                    extensions: message.extensions,
                    only_users: only_users.iter().map(|user| fold_username(user)).collect(),
                    online_only: message.route == RouteType::RouteOnline,
                    // That a message has arrived on one device says nothing to the others.
                    sync_devices: body.kind != Type::DeliverAck,
                })));
            }
            Err(error) => refuse(message.client_id, &error, now_ms, out),
        }
    }

    /// The outcome of [`Command::Publish`] for the message with this client id.
    pub fn published(
        &mut self,
        client_id: u64,
        to: &Queue,
        outcome: Result<Ack, Error>,
        now_ms: u64,
        out: &mut Vec<Command>,
    ) {
        self.landed();
        let Phase::Live(live) = &mut self.phase else { return };
        match outcome {
            Ok(ack) => {
                out.push(Command::Send(codec::send_ack(client_id, ack.id, ack.timestamp_ms, &ack.notify)));
                // The device's own message has its place in the queue's chain of ids.
                if !ack.transient
                    && let Some(entry) = live.queues.get(to)
                    && matches!(entry.state, State::CaughtUp)
                    && ack.previous_id <= entry.seen
                {
                    entry.seen = entry.seen.max(ack.id);
                }
            }
            Err(error) => refuse(client_id, &error, now_ms, out),
        }
    }
}

fn refuse(client_id: u64, error: &Error, now_ms: u64, out: &mut Vec<Command>) {
    out.push(Command::Send(codec::send_refused(client_id, send_refusal(error), now_ms)));
}

/// The queue that a message is for, if its address and size are in order.
fn addressed(message: &UpMessage, body: &Body) -> Result<Queue, Error> {
    if body.payload_bytes + message.extensions.len() > MESSAGE_BYTES_MAX {
        return Err(ErrorKind::TooLarge.into());
    }
    // Clients may write any case; the field's services fold it (features.md §1).
    let name = fold_username(&message.to);
    if !message.to_conference {
        let legal = username_is_legal(&name);
        return if legal {
            Ok(Queue::new(QueueKind::Direct, &name))
        } else {
            Err(ErrorKind::UserNotFound.into())
        };
    }
    if !username_is_legal(&name) {
        return Err(ErrorKind::ChannelNotFound.into());
    }
    let kind = match body.kind {
        _ if body.is_thread => QueueKind::Thread,
        Type::Chatroom => QueueKind::Room,
        _ => QueueKind::Group,
    };
    Ok(Queue::new(kind, &name))
}
