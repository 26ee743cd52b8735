//! Which queues a device is behind in. The store tells most of it; what moved since the last write is in the lanes.

use std::collections::HashMap;

use bulkhead_model::{AppUuid, Channel, Result};
use bulkhead_proto::records::{Conversation, Cursor, Device};
use bulkhead_proto::router::{Queue, QueueKind, UnreadQueue};
use bulkhead_store::{Scan, Scope, tables};
use bytes::Bytes;

use crate::conversation::count_after;
use crate::core::Core;
use crate::keys::{CursorKey, StandingKey, user_partition};
use crate::lane::decode;

/// Pages of a thousand rows that are read of one user's conversations.
const PAGES_MAX: usize = 10;

/// One conversation of a user as it stands now.
pub(crate) struct Standpoint {
    pub(crate) channel: Channel,
    pub(crate) key: String,
    pub(crate) row: Conversation,
}

/// Every conversation of a user.
pub(crate) async fn conversations(core: &Core, app: AppUuid, user: &str) -> Result<Vec<Standpoint>> {
    let rows = core.scan_all(scan_of(&tables::CONVERSATIONS, app, user), PAGES_MAX).await?;
    let mut conversations = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(key) = std::str::from_utf8(&row.clustering).ok() else { continue };
        let Ok(channel) = Channel::from_key(key) else { continue };
        let mut stored: Conversation = decode(Some(row.value))?;
        let standing_key = StandingKey::new(app, user, key.as_bytes());
        core.lane_of(app, key).with(|state| {
            if let Some(standing) = state.standings.get_mut(&standing_key) {
                let here = &standing.row;
                stored.last_id = stored.last_id.max(here.last_id);
                stored.incoming = stored.incoming.max(here.incoming);
                if here.taken_id > stored.taken_id {
                    (stored.taken_id, stored.taken_incoming) = (here.taken_id, here.taken_incoming);
                }
            }
        });
        conversations.push(Standpoint { channel, key: key.to_owned(), row: stored });
    }
    Ok(conversations)
}

/// The cursors of one device, by channel key, as the store has them.
pub(crate) async fn cursors(
    core: &Core,
    app: AppUuid,
    user: &str,
    device: &str,
) -> Result<HashMap<String, Cursor>> {
    let mut scan = scan_of(&tables::DEVICES, app, user);
    scan.from = [device.as_bytes(), &[0]].concat().into();
    scan.to = [device.as_bytes(), &[1]].concat().into();
    let mut cursors = HashMap::new();
    for row in core.scan_all(scan, PAGES_MAX).await? {
        if let Some(key) =
            row.clustering.get(device.len() + 1..).and_then(|key| std::str::from_utf8(key).ok())
        {
            cursors.insert(key.to_owned(), decode(Some(row.value))?);
        }
    }
    Ok(cursors)
}

/// The queues among `conversations` in which a device lacks messages.
pub(crate) async fn behind(
    core: &Core,
    app: AppUuid,
    user: &str,
    device: &str,
    record: &Device,
    conversations: &[Standpoint],
) -> Result<Vec<UnreadQueue>> {
    if conversations.is_empty() {
        return Ok(Vec::new());
    }
    let cursors = cursors(core, app, user, device).await?;
    Ok(behind_of(core, app, user, device, record, conversations, &cursors))
}

/// The same with cursors that were read already.
pub(crate) fn behind_of(
    core: &Core,
    app: AppUuid,
    user: &str,
    device: &str,
    record: &Device,
    conversations: &[Standpoint],
    cursors: &HashMap<String, Cursor>,
) -> Vec<UnreadQueue> {
    let since = Cursor { id: record.since_id, incoming: 0 };
    let mut queues = Vec::new();
    for Standpoint { channel, key, row } in conversations {
        let mut cursor = cursors.get(key).copied().unwrap_or(since);
        let cursor_key = CursorKey::new(app, user, device, key.as_bytes());
        core.lane_of(app, key).with(|state| {
            if let Some(place) = state.places.get_mut(&cursor_key)
                && place.id > cursor.id
            {
                cursor = place.cursor();
            }
        });
        if row.last_id > cursor.id
            && let Some(queue) = queue_of(channel, user)
        {
            queues.push(UnreadQueue { queue: Some(queue), count: count_after(row, &cursor) });
        }
    }
    queues
}

pub(crate) fn scan_of(table: &'static bulkhead_store::Table, app: AppUuid, user: &str) -> Scan {
    Scan {
        table,
        scope: Scope::App(app),
        partition: user_partition(user),
        from: Bytes::new(),
        to: Bytes::new(),
        descending: false,
        limit: bulkhead_store::SCAN_ROWS_MAX,
    }
}

/// A channel as the queue that `user` sees.
fn queue_of(channel: &Channel, user: &str) -> Option<Queue> {
    let (name, kind) = match channel {
        Channel::Direct(..) => (channel.peer_of(user)?, QueueKind::Direct),
        Channel::Group(id) => (id.as_str(), QueueKind::Group),
        Channel::Room(id) => (id.as_str(), QueueKind::Room),
        Channel::Thread(id) => (id.as_str(), QueueKind::Thread),
    };
    Some(Queue { name: name.to_owned(), kind: kind.into() })
}
