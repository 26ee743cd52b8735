//! Which queues a device is behind in. The store tells most of it; what moved since the last write is in the lanes.

use std::collections::HashMap;

use bulkhead_model::{AppUuid, Channel, Result};
use bulkhead_proto::records::{self, Conversation, Cursor, Device};
use bulkhead_proto::router::{Queue, QueueKind, UnreadQueue};
use bulkhead_store::{Scan, Scope, tables};
use bytes::Bytes;

use crate::channels::key::ChannelRef;
use crate::channels::read::memberships;
use crate::conversation::{Mark, count_after};
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
    /// Of a group: the user sees what comes after it.
    pub(crate) joined: Mark,
}

/// Every conversation of a user: those with others, and the user's groups.
pub(crate) async fn conversations(core: &Core, app: AppUuid, user: &str) -> Result<Vec<Standpoint>> {
    let groups = memberships(core, app, user).await?;
    conversations_among(core, app, user, groups).await
}

/// The same with memberships that were read already.
pub(crate) async fn conversations_among(
    core: &Core,
    app: AppUuid,
    user: &str,
    memberships: Vec<(ChannelRef, records::Member)>,
) -> Result<Vec<Standpoint>> {
    let mut groups = memberships;
    // Rooms are for those who are there.
    groups.retain(|(key, _)| !key.is_room());
    let heads = groups.iter().map(|(key, _)| key.row(&tables::HEADS)).collect();
    let (rows, heads) = tokio::try_join!(
        core.scan_all(scan_of(&tables::CONVERSATIONS, app, user), PAGES_MAX),
        core.get_many(heads),
    )?;
    let mut taken = HashMap::new();
    let mut conversations = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(key) = std::str::from_utf8(&row.clustering).ok() else { continue };
        let Ok(channel) = Channel::from_key(key) else { continue };
        let mut stored: Conversation = decode(Some(row.value))?;
        if !matches!(channel, Channel::Direct(..)) {
            taken.insert(key.to_owned(), stored);
            continue;
        }
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
        conversations.push(Standpoint { channel, key: key.to_owned(), row: stored, joined: (0, 0) });
    }
    for ((key, member), head) in groups.into_iter().zip(heads) {
        let head: records::Head = decode(head)?;
        let joined = (member.joined_id, member.joined_incoming);
        let mut row = taken.remove(key.text()).unwrap_or_default();
        let standing_key = StandingKey::new(app, user, &key.channel_key());
        core.lane_of_channel(&key).with(|state| {
            if let Some(standing) = state.standings.get_mut(&standing_key)
                && standing.row.taken_id > row.taken_id
            {
                (row.taken_id, row.taken_incoming) = (standing.row.taken_id, standing.row.taken_incoming);
            }
        });
        (row.last_id, row.incoming) = (head.last_id, head.incoming);
        row.taken_id = row.taken_id.max(joined.0);
        row.taken_incoming = row.taken_incoming.max(joined.1).min(row.incoming);
        let Ok(channel) = Channel::from_key(key.text()) else { continue };
        conversations.push(Standpoint { channel, key: key.text().to_owned(), row, joined });
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
    for Standpoint { channel, key, row, joined } in conversations {
        let mut cursor = cursors.get(key).copied().unwrap_or(since);
        let cursor_key = CursorKey::new(app, user, device, key.as_bytes());
        core.lane_of(app, key).with(|state| {
            if let Some(place) = state.places.get_mut(&cursor_key)
                && place.id > cursor.id
            {
                cursor = place.cursor();
            }
        });
        cursor = Cursor { id: cursor.id.max(joined.0), incoming: cursor.incoming.max(joined.1) };
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
