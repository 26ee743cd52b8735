//! Joining and leaving rooms (msync.md §6).

use bytes::Bytes;
use prost::Message as _;

use crate::proto::m_sync::Command;
use crate::proto::meta::NameSpace;
use crate::proto::muc_body::Operation;
use crate::proto::{CommSyncDl, Jid, MSync, Meta, MucBody, Status, muc_body};
use crate::wire::Malformed;

/// What a client asks for.
pub struct RoomRequest {
    pub operation: Operation,
    /// The room's id as the client wrote it.
    pub room: String,
    pub is_room: bool,
    /// Words that the others are told.
    pub ext: String,
    pub leave_other_rooms: bool,
}

/// A room as the one who joined finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomFacts {
    pub created_ms: u64,
    pub member_count: u32,
}

/// Reads the body of a frame of namespace MUC.
pub fn read_room_request(payload: &[u8]) -> Result<RoomRequest, Malformed> {
    let body = MucBody::decode(payload).map_err(|_| Malformed)?;
    let operation = body.operation.and_then(|number| Operation::try_from(number).ok()).ok_or(Malformed)?;
    Ok(RoomRequest {
        operation,
        is_room: body.is_chatroom(),
        leave_other_rooms: body.leave_other_rooms(),
        room: body.muc_id.and_then(|room| room.name).unwrap_or_default(),
        ext: body.ext.unwrap_or_default(),
    })
}

/// Acknowledges that `user` joined a room, with what the client shows of it.
pub fn room_joined(client_id: u64, user: &str, room: RoomFacts, timestamp_ms: u64) -> Bytes {
    let facts = serde_json::json!({
        user: {
            "is_all_mute": false,
            "create_timestamp": room.created_ms,
            "is_in_white_list": false,
            "member_count": room.member_count,
            "mute_duration": 0,
        }
    });
    let status = muc_body::Status { chatroom_info: Some(facts.to_string()), ..Default::default() };
    let body = MucBody { status: Some(status), is_chatroom: Some(true), ..MucBody::default() };
    let meta = Meta {
        from: Some(Jid::default()),
        ns: Some(NameSpace::Muc.into()),
        payload: Some(body.encode_to_vec().into()),
        ..Meta::default()
    };
    let sync = CommSyncDl {
        // In words: the client waits for an explicit OK.
        status: Some(Status { error_code: Some(0), reason: None }),
        meta_id: Some(client_id),
        server_id: Some(timestamp_ms),
        metas: vec![meta],
        timestamp: Some(timestamp_ms),
        ..CommSyncDl::default()
    };
    let frame = MSync {
        command: Some(Command::Sync.into()),
        payload: Some(sync.encode_to_vec().into()),
        ..MSync::default()
    };
    frame.encode_to_vec().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_join_is_read_and_its_acknowledgement_reads_back() {
        let body = MucBody {
            muc_id: Some(Jid { name: Some("42".into()), ..Jid::default() }),
            operation: Some(Operation::Join.into()),
            is_chatroom: Some(true),
            ext: Some("hello".into()),
            leave_other_rooms: Some(true),
            ..MucBody::default()
        };
        let request = read_room_request(&body.encode_to_vec()).unwrap();
        assert_eq!((request.operation, request.room.as_str()), (Operation::Join, "42"));
        assert!(request.is_room && request.leave_other_rooms && request.ext == "hello");

        let joined = room_joined(7, "alice", RoomFacts { created_ms: 5, member_count: 3 }, 9);
        let sync = CommSyncDl::decode(MSync::decode(joined).unwrap().payload.unwrap()).unwrap();
        assert_eq!((sync.meta_id, sync.status.unwrap().error_code), (Some(7), Some(0)));
        let body = MucBody::decode(sync.metas[0].payload.clone().unwrap()).unwrap();
        let facts: serde_json::Value = serde_json::from_str(body.status.unwrap().chatroom_info()).unwrap();
        assert_eq!(facts["alice"]["member_count"], 3);
        assert_eq!(facts["alice"]["create_timestamp"], 5);
    }

    #[test]
    fn bytes_that_are_no_request_are_malformed() {
        for bytes in [&b""[..], &[0x10, 99], &[0x0a, 5, 1], &[0x0b]] {
            assert_eq!(read_room_request(bytes).err(), Some(Malformed), "{bytes:?}");
        }
    }
}
