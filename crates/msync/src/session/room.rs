//! A client joins and leaves rooms (msync.md §6): the only things of groups and rooms that it asks for on the socket.

use bulkhead_model::{Error, ErrorKind, fold_username, username_is_legal};

use super::command::{Command, Join};
use super::{CloseReason, Phase, Session, refusal};
use crate::codec::{self, RoomFacts, RoomRequest, UpMessage};
use crate::proto::muc_body::Operation;
use crate::queue::{Queue, QueueKind};

impl Session {
    /// A frame of namespace MUC.
    pub(super) fn room(&mut self, message: &UpMessage, now_ms: u64, out: &mut Vec<Command>) {
        let Ok(request) = codec::read_room_request(&message.payload) else {
            return self.close(CloseReason::Malformed, out);
        };
        let RoomRequest { operation, room, is_room, ext, leave_other_rooms } = request;
        let client_id = message.client_id;
        if !is_room || !matches!(operation, Operation::Join | Operation::Leave) {
            return refuse(client_id, "", &ErrorKind::Unimplemented.into(), now_ms, out);
        }
        let name = fold_username(&room);
        if !username_is_legal(&name) {
            return refuse(client_id, "", &ErrorKind::ChannelNotFound.into(), now_ms, out);
        }
        let room = Queue::new(QueueKind::Room, &name);
        self.in_flight += 1;
        out.push(if operation == Operation::Join {
            Command::Join(Box::new(Join { client_id, room, ext, leave_other_rooms }))
        } else {
            Command::Leave { client_id, room }
        });
    }

    /// The outcome of [`Command::Join`].
    pub fn joined(
        &mut self,
        client_id: u64,
        room: &Queue,
        outcome: Result<RoomFacts, Error>,
        now_ms: u64,
        out: &mut Vec<Command>,
    ) {
        self.landed();
        let Phase::Live(live) = &mut self.phase else { return };
        match outcome {
            Ok(facts) => out.push(Command::Send(codec::room_joined(client_id, &live.user, facts, now_ms))),
            Err(error) => refuse(client_id, &room.name, &error, now_ms, out),
        }
    }

    /// The outcome of [`Command::Leave`].
    pub fn left(
        &mut self,
        client_id: u64,
        room: &Queue,
        outcome: Result<(), Error>,
        now_ms: u64,
        out: &mut Vec<Command>,
    ) {
        self.landed();
        if !self.is_live() {
            return;
        }
        match outcome {
            Ok(()) => out.push(Command::Send(codec::send_ack(client_id, 0, now_ms, &[]))),
            Err(error) => refuse(client_id, &room.name, &error, now_ms, out),
        }
    }
}

fn refuse(client_id: u64, room: &str, error: &Error, now_ms: u64, out: &mut Vec<Command>) {
    let words = refusal::missing_room(room);
    let refusal = match error.kind() {
        ErrorKind::ChannelNotFound => codec::RefusedSend { reason: &words, ..refusal::send_refusal(error) },
        _ => refusal::send_refusal(error),
    };
    out.push(Command::Send(codec::send_refused(client_id, refusal, now_ms)));
}
