//! The names of a group's or room's rows.

use std::fmt;

use bulkhead_model::{AppUuid, Channel, ChannelKind, slot_of};
use bulkhead_proto::router::{Queue, QueueKind};
use bulkhead_store::{RowKey, Scope, Table, tables};
use bytes::{BufMut, Bytes, BytesMut};

const APP_BYTES: usize = 16;

/// A group or room of an app, as a map key: the app and the channel key, one behind the other.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct ChannelRef(Bytes);

impl ChannelRef {
    pub(crate) fn new(app: AppUuid, channel_key: &[u8]) -> Self {
        let mut bytes = BytesMut::with_capacity(APP_BYTES + channel_key.len());
        bytes.put_slice(&app.0);
        bytes.put_slice(channel_key);
        Self(bytes.freeze())
    }

    pub(crate) fn app(&self) -> AppUuid {
        let mut app = [0; APP_BYTES];
        app.copy_from_slice(&self.0[..APP_BYTES]);
        AppUuid(app)
    }

    pub(crate) fn channel_key(&self) -> Bytes {
        self.0.slice(APP_BYTES..)
    }

    /// The channel key as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.0[APP_BYTES..]).unwrap_or_default()
    }

    pub(crate) fn slot(&self) -> u16 {
        slot_of(self.app(), self.text())
    }

    pub(crate) fn is_room(&self) -> bool {
        self.0[APP_BYTES..].starts_with(b"r:")
    }

    /// The queue that its members see.
    pub(crate) fn queue(&self) -> Queue {
        let name = self.text().get(2..).unwrap_or_default();
        let kind = if self.is_room() { QueueKind::Room } else { QueueKind::Group };
        Queue { name: name.to_owned(), kind: kind.into() }
    }

    /// Its row in `channels` or `heads`.
    pub(crate) fn row(&self, table: &'static Table) -> RowKey {
        RowKey { table, scope: self.scope(), partition: self.channel_key(), clustering: Bytes::new() }
    }

    pub(crate) fn member_row(&self, user: &str) -> RowKey {
        RowKey {
            table: &tables::MEMBERS,
            scope: self.scope(),
            partition: self.channel_key(),
            clustering: Bytes::copy_from_slice(user.as_bytes()),
        }
    }

    /// The same membership among those of the user.
    pub(crate) fn membership_row(&self, user: &str) -> RowKey {
        RowKey {
            table: &tables::MEMBERSHIPS,
            scope: self.scope(),
            partition: Bytes::copy_from_slice(user.as_bytes()),
            clustering: self.channel_key(),
        }
    }

    /// Its row among the app's channels of one list.
    pub(crate) fn listing_row(&self, list: &'static str) -> RowKey {
        RowKey {
            table: &tables::CHANNELS_BY_APP,
            scope: self.scope(),
            partition: Bytes::from_static(list.as_bytes()),
            clustering: self.0.slice(APP_BYTES + 2..),
        }
    }

    pub(crate) fn scope(&self) -> Scope {
        Scope::App(self.app())
    }
}

impl fmt::Debug for ChannelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", String::from_utf8_lossy(&self.0[APP_BYTES..]))
    }
}

/// Whether a channel has members rather than two sides.
pub(crate) fn is_of_many(channel: &Channel) -> bool {
    matches!(channel.kind(), ChannelKind::Group | ChannelKind::Room)
}

/// The lists of an app's channels.
pub(crate) const GROUPS: &str = "groups";
pub(crate) const PUBLIC_GROUPS: &str = "public_groups";
pub(crate) const ROOMS: &str = "rooms";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_of_a_channel_are_named_by_it() {
        let app = AppUuid([7; 16]);
        let group = ChannelRef::new(app, b"g:42");
        assert_eq!(group.app(), app);
        assert_eq!(group.queue(), Queue { name: "42".into(), kind: QueueKind::Group.into() });
        assert_eq!(group.row(&tables::HEADS).partition, "g:42");
        let (member, membership) = (group.member_row("bob"), group.membership_row("bob"));
        assert_eq!((member.partition, member.clustering), ("g:42".into(), "bob".into()));
        assert_eq!((membership.partition, membership.clustering), ("bob".into(), "g:42".into()));
        let room = ChannelRef::new(app, b"r:42");
        assert!(room.is_room() && !group.is_room() && room != group);
        assert_eq!(room.listing_row(ROOMS).clustering, "42");
    }
}
