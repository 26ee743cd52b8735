//! The channels of many that a batch is about: from the lane's memory, the rest from the store.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bulkhead_model::Result;
use bulkhead_proto::records;
use bulkhead_store::{SCAN_ROWS_MAX, Scan, tables};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::draft::Draft;
use super::key::ChannelRef;
use super::limits::MEMBERS_MAX;
use super::roster::{Head, Roster};
use crate::core::Core;
use crate::lane::{Lane, decode};
use crate::work::Task;

/// Channels that are read at once.
const LOADS_AT_ONCE: usize = 16;

/// Pages of members of one channel.
const PAGES_MAX: usize = MEMBERS_MAX as usize / SCAN_ROWS_MAX + 1;

/// A draft of each channel of many in the batch.
pub(crate) async fn drafts(core: &Core, lane: &Lane, tasks: &[Task]) -> Result<HashMap<ChannelRef, Draft>> {
    let wanted: HashSet<&ChannelRef> = tasks.iter().filter_map(Task::channel).collect();
    if wanted.is_empty() {
        return Ok(HashMap::new());
    }
    let mut drafts = HashMap::with_capacity(wanted.len());
    let mut cold = Vec::new();
    lane.with(|state| {
        for key in wanted {
            match state.rosters.take_part(key) {
                Some(roster) => drop(drafts.insert(key.clone(), Draft::of(key.clone(), Some(roster)))),
                None => cold.push(key.clone()),
            }
        }
    });
    let loads: Vec<_> = cold.into_iter().map(|key| load(core, key)).collect();
    let loaded: Vec<_> = stream::iter(loads).buffer_unordered(LOADS_AT_ONCE).try_collect().await?;
    for (key, roster) in loaded {
        if let Some(roster) = &roster {
            lane.with(|state| state.rosters.insert(key.clone(), roster.clone()));
            if key.is_room() {
                // Sessions of its members may have ended when nobody was there to see it.
                core.departures.look_for_absent(key.clone(), false);
            }
        }
        drafts.insert(key.clone(), Draft::of(key, roster));
    }
    Ok(drafts)
}

async fn load(core: &Core, key: ChannelRef) -> Result<(ChannelRef, Option<Arc<Roster>>)> {
    let rows = core.get_many(vec![key.row(&tables::CHANNELS), key.row(&tables::HEADS)]).await?;
    let [record, head] = <[_; 2]>::try_from(rows).unwrap_or_default();
    let Some(record) = record else { return Ok((key, None)) };
    let scan = Scan {
        table: &tables::MEMBERS,
        scope: key.scope(),
        partition: key.channel_key(),
        from: Bytes::new(),
        to: Bytes::new(),
        descending: false,
        limit: SCAN_ROWS_MAX,
    };
    let mut members = HashMap::new();
    for row in core.scan_all(scan, PAGES_MAX).await? {
        if let Ok(user) = std::str::from_utf8(&row.clustering) {
            let member: records::Member = decode(Some(row.value))?;
            members.insert(user.into(), member);
        }
    }
    let roster = Roster { record: decode(Some(record))?, head: Head::stored(decode(head)?), members };
    Ok((key, Some(Arc::new(roster))))
}

/// Who is in a room of this router, as its lane has it in memory, or else as it is stored.
pub(super) async fn members(core: &Core, key: &ChannelRef) -> Result<Vec<String>> {
    let names = |roster: &Roster| roster.members.keys().map(|user| user.to_string()).collect();
    let known = core.lane_of_channel(key).with(|state| state.rosters.get(key).map(names));
    match known {
        Some(known) => Ok(known),
        None => Ok(load(core, key.clone()).await?.1.map(|roster| names(&roster)).unwrap_or_default()),
    }
}
