//! The bytes of an event of a group or room: a `Meta` of namespace MUC with a `MUCBody` (msync.md §5).

use bulkhead_model::{ChannelKind, MessageId};
use bytes::{Bytes, BytesMut};

use super::key::ChannelRef;
use crate::body;
use crate::meta::{self, Address, MetaParts, Namespace};

/// `MUCBody.Operation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Create = 0,
    Destroy = 1,
    Kick = 10,
    Update = 14,
    Presence = 17,
    Absence = 18,
    DirectJoined = 19,
    AssignOwner = 20,
}

/// What an event consists of.
pub(super) struct MucEvent<'a> {
    pub(super) app_key: &'a str,
    pub(super) key: &'a ChannelRef,
    pub(super) id: u64,
    pub(super) operation: Operation,
    pub(super) from: &'a str,
    pub(super) to: Option<&'a str>,
    /// All whom the event is about, where they are several.
    pub(super) members: &'a [String],
    pub(super) name: &'a str,
    /// 0 where the event does not say.
    pub(super) member_count: usize,
    /// Words of whoever joins.
    pub(super) ext: &'a str,
    /// `eventInfo.ext`.
    pub(super) detail: &'a str,
}

impl MucEvent<'_> {
    /// The encoded `Meta` without its `meta` field.
    pub(super) fn encode(&self) -> Bytes {
        let queue = self.key.queue();
        let kind = if self.key.is_room() { ChannelKind::Room } else { ChannelKind::Group };
        let channel = Address { kind, name: &queue.name, device: "" };
        let person = |name| Address { kind: ChannelKind::Direct, name, device: "" };
        let mut muc = BytesMut::with_capacity(256 + self.detail.len() + self.ext.len());
        meta::put_address(&mut muc, 1, self.app_key, &channel);
        meta::put_number(&mut muc, 2, self.operation as u64);
        meta::put_address(&mut muc, 3, self.app_key, &person(self.from));
        if let Some(to) = self.to {
            meta::put_address(&mut muc, 4, self.app_key, &person(to));
        }
        if self.key.is_room() {
            meta::put_number(&mut muc, 7, 1);
        }
        if !self.name.is_empty() {
            body::put_bytes(&mut muc, 11, self.name.as_bytes());
        }
        if !self.detail.is_empty() {
            let mut info = BytesMut::new();
            body::put_bytes(&mut info, 2, self.detail.as_bytes());
            body::put_bytes(&mut muc, 12, &info);
        }
        if self.member_count > 0 {
            meta::put_number(&mut muc, 13, self.member_count as u64);
        }
        if !self.ext.is_empty() {
            body::put_bytes(&mut muc, 14, self.ext.as_bytes());
        }
        for member in self.members {
            body::put_bytes(&mut muc, 16, member.as_bytes());
        }
        meta::encode(&MetaParts {
            namespace: Namespace::Muc,
            app_key: self.app_key,
            id: self.id,
            from: person(self.from),
            to: channel,
            timestamp_ms: MessageId(self.id).unix_ms(),
            payload: &muc,
            ext: &[],
        })
    }
}
