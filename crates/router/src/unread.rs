//! Which queues a device is behind in. The store tells most of it; what moved since the last write is in the lanes.

use std::collections::HashMap;

use bulkhead_model::{AppUuid, Channel, Result};
use bulkhead_proto::records::{self, Conversation, Cursor, Device};
use bulkhead_proto::router::{Queue, QueueKind, UnreadQueue};
use bulkhead_store::{SCAN_ROWS_MAX, Scan, Scope, tables};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::channels::key::ChannelRef;
use crate::channels::read::memberships;
use crate::conversation::{Mark, count_after};
use crate::core::Core;
use crate::keys::{CursorKey, StandingKey, id_bytes, user_partition};
use crate::lane::decode;
use crate::publish::is_chat;

/// Pages of a thousand rows that are read of one user's conversations.
const PAGES_MAX: usize = 10;

/// Queues of one answer whose kept messages are counted, when some of what was counted is over; the others tell the sum of
/// all.
const COUNTED_MAX: usize = 50;

/// Of them at the same time.
pub(crate) const COUNTED_AT_ONCE: usize = 8;

/// One conversation of a user as it stands now.
pub(crate) struct Standpoint {
    pub(crate) channel: Channel,
    pub(crate) key: String,
    pub(crate) row: Conversation,
    /// Of a group: the user sees what comes after it.
    pub(crate) joined: Mark,
    /// What is older than this id is over.
    pub(crate) floor_id: u64,
}

/// Every conversation of a user of which something is kept: those with others, and the user's groups.
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
    let floor_id = core.directory.app(app).await?.floor_id(core.sequencer.now_ms());
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
        conversations.push(Standpoint {
            channel,
            key: key.to_owned(),
            row: stored,
            joined: (0, 0),
            floor_id,
        });
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
        conversations.push(Standpoint { channel, key: key.text().to_owned(), row, joined, floor_id });
    }
    conversations.retain(|one| one.row.last_id >= floor_id);
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
    behind_of(core, app, user, device, record, conversations, &cursors).await
}

/// The same with cursors that were read already.
pub(crate) async fn behind_of(
    core: &Core,
    app: AppUuid,
    user: &str,
    device: &str,
    record: &Device,
    conversations: &[Standpoint],
    cursors: &HashMap<String, Cursor>,
) -> Result<Vec<UnreadQueue>> {
    let since = Cursor { id: record.since_id, incoming: 0 };
    let mut queues = Vec::new();
    for one @ Standpoint { channel, key, row, joined, .. } in conversations {
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
            queues.push((
                one,
                UnreadQueue { queue: Some(queue), count: count_after(row, &cursor) },
                cursor.id,
            ));
        }
    }
    let mut counted = 0;
    let counting = queues.into_iter().map(|(one, queue, after_id)| {
        counted += usize::from(after_id < one.floor_id);
        let is_counted = counted <= COUNTED_MAX;
        async move {
            let count = if is_counted {
                one.kept(core, app, user, queue.count, after_id).await?
            } else {
                queue.count
            };
            Ok(UnreadQueue { count, ..queue })
        }
    });
    let counting: Vec<_> = counting.collect();
    stream::iter(counting).buffered(COUNTED_AT_ONCE).try_collect().await
}

impl Standpoint {
    /// How many of `count` messages after an id are kept. What is counted of a log goes on when its beginning is over, so
    /// whoever has not been here for long is told of those only that there are.
    pub(crate) async fn kept(
        &self,
        core: &Core,
        app: AppUuid,
        user: &str,
        count: u64,
        after_id: u64,
    ) -> Result<u64> {
        if after_id >= self.floor_id || count == 0 {
            return Ok(count);
        }
        let scan = Scan {
            table: &tables::MESSAGES,
            scope: Scope::App(app),
            partition: Bytes::copy_from_slice(self.key.as_bytes()),
            from: id_bytes(self.floor_id.max(after_id + 1)),
            to: id_bytes(self.row.last_id + 1),
            descending: false,
            limit: SCAN_ROWS_MAX,
        };
        let rows = core.scan(scan).await?;
        if rows.len() == SCAN_ROWS_MAX {
            // At least; the sum of all is an upper bound.
            return Ok(count);
        }
        let is_to_self = self.channel.peer_of(user) == Some(user);
        let is_direct = matches!(self.channel, Channel::Direct(..));
        let mut kept = 0;
        for row in rows {
            let message: records::Message = decode(Some(row.value))?;
            let is_receiver = !is_direct || is_to_self || message.from_user != user;
            kept += u64::from(is_receiver && is_chat(message.kind()));
        }
        Ok(kept.min(count))
    }
}

pub(crate) fn scan_of(table: &'static bulkhead_store::Table, app: AppUuid, user: &str) -> Scan {
    Scan {
        table,
        scope: Scope::App(app),
        partition: user_partition(user),
        from: Bytes::new(),
        to: Bytes::new(),
        descending: false,
        limit: SCAN_ROWS_MAX,
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
