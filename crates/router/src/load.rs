//! What a batch needs to know before it is judged, read in bulk: what is in memory from there, the rest with as few calls
//! as possible.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bulkhead_model::{AppUuid, Error, Result};
use bulkhead_proto::records::{Conversation, Message};
use bulkhead_store::RowKey;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::channels::draft::Draft;
use crate::channels::key::ChannelRef;
use crate::channels::load::drafts;
use crate::conversation::Place;
use crate::core::Core;
use crate::dedup::{SharedWindow, load_scan};
use crate::directory::{AppFacts, UserKey};
use crate::keys::{ClientId, CursorKey, SenderKey, StandingKey, message_row};
use crate::lane::{Lane, decode, place_of};
use crate::work::{Claimed, Task, Work};

/// Calls that run at once for one batch.
const CALLS_AT_ONCE: usize = 64;

/// A message in a log, as a map key.
pub(crate) type TargetKey = (AppUuid, Bytes, u64);

/// The facts that a batch is judged by. The batch changes them as it goes, so that each message sees those before it.
pub(crate) struct Facts {
    pub(crate) apps: HashMap<AppUuid, Result<Arc<AppFacts>>>,
    /// Users that could not be found, and why.
    pub(crate) missing: HashMap<UserKey, Error>,
    pub(crate) standings: HashMap<StandingKey, Conversation>,
    pub(crate) places: HashMap<CursorKey, Place>,
    /// Messages that others mean to change, or may be resends of.
    pub(crate) targets: HashMap<TargetKey, Option<Message>>,
    /// Groups and rooms, also those that are not there.
    pub(crate) channels: HashMap<ChannelRef, Draft>,
}

/// The windows of the senders, one for each piece of work that has one; each knows what it must know about the job's
/// client id.
pub(crate) async fn windows(core: &Core, works: &[Work]) -> Result<Vec<Option<SharedWindow>>> {
    let windows: Vec<_> =
        works.iter().map(|work| work.sender().map(|(_, sender)| core.dedup.window(sender))).collect();
    let mut cold: HashMap<SenderKey, SharedWindow> = HashMap::new();
    for (work, window) in works.iter().zip(&windows) {
        if let (Some((_, sender)), Some(window)) = (work.sender(), window)
            && !window.lock().is_loaded()
        {
            cold.insert(sender.clone(), window.clone());
        }
    }
    let loads: Vec<_> =
        cold.iter().map(|(sender, window)| load_window(core, sender.clone(), window.clone())).collect();
    stream::iter(loads).buffer_unordered(CALLS_AT_ONCE).try_collect::<()>().await?;

    let mut asked: Vec<(&SharedWindow, ClientId)> = Vec::new();
    let mut keys = Vec::new();
    for (work, window) in works.iter().zip(&windows) {
        if let (Some((job, sender)), Some(window)) = (work.sender(), window)
            && window.lock().asks_store(job.client_id())
        {
            asked.push((window, job.client_id()));
            keys.push(sender.row(job.client_id()));
        }
    }
    let rows = core.get_many(keys).await?;
    for ((window, client_id), row) in asked.into_iter().zip(rows) {
        if let Some(row) = row {
            window.lock().remember(client_id, &row);
        }
    }
    Ok(windows)
}

async fn load_window(core: &Core, sender: SenderKey, window: SharedWindow) -> Result<()> {
    let rows = core.scan(load_scan(&sender)).await?;
    window.lock().load(&rows);
    Ok(())
}

/// Everything else.
pub(crate) async fn facts(core: &Core, lane: &Lane, tasks: &[Task]) -> Result<Facts> {
    let (apps, missing, (standings, places, targets), channels) = tokio::try_join!(
        apps(core, tasks),
        missing_users(core, tasks),
        rows(core, lane, tasks),
        drafts(core, lane, tasks),
    )?;
    Ok(Facts { apps, missing, standings, places, targets, channels })
}

fn messages(tasks: &[Task]) -> impl Iterator<Item = &Claimed> {
    tasks.iter().filter_map(|task| match task {
        Task::Message(claimed) => Some(claimed),
        Task::Change(_) => None,
    })
}

async fn apps(core: &Core, tasks: &[Task]) -> Result<HashMap<AppUuid, Result<Arc<AppFacts>>>> {
    let wanted: HashSet<AppUuid> = tasks.iter().map(Task::app).collect();
    let asked: Vec<_> = wanted.into_iter().map(|app| app_facts(core, app)).collect();
    Ok(stream::iter(asked).buffer_unordered(CALLS_AT_ONCE).collect().await)
}

async fn app_facts(core: &Core, app: AppUuid) -> (AppUuid, Result<Arc<AppFacts>>) {
    (app, core.directory.app(app).await)
}

async fn missing_users(core: &Core, tasks: &[Task]) -> Result<HashMap<UserKey, Error>> {
    let mut unknown = HashSet::new();
    for Claimed { job, .. } in messages(tasks) {
        if job.request.administrative || job.receiver_standing.is_none() {
            continue;
        }
        for user in [&job.request.from_user, &job.to.name] {
            let user = (job.app, user.as_str().into());
            if !unknown.contains(&user) && !core.directory.is_known(&user) {
                unknown.insert(user);
            }
        }
    }
    let asked: Vec<_> = unknown.into_iter().map(|user| why_missing(core, user)).collect();
    let missing: Vec<_> = stream::iter(asked).buffer_unordered(CALLS_AT_ONCE).collect().await;
    Ok(missing.into_iter().flatten().collect())
}

async fn why_missing(core: &Core, user: UserKey) -> Option<(UserKey, Error)> {
    let outcome = core.directory.expect_user(&user).await;
    outcome.err().map(|error| (user, error))
}

type Rows =
    (HashMap<StandingKey, Conversation>, HashMap<CursorKey, Place>, HashMap<TargetKey, Option<Message>>);

async fn rows(core: &Core, lane: &Lane, tasks: &[Task]) -> Result<Rows> {
    let mut standings = HashMap::with_capacity(tasks.len());
    let mut places = HashMap::with_capacity(tasks.len());
    let mut cold_standings = HashSet::new();
    let mut cold_places = HashSet::new();
    let mut cold_targets = HashSet::new();
    lane.with(|state| {
        for Claimed { job, .. } in messages(tasks) {
            for key in [Some(&job.sender_standing), job.receiver_standing.as_ref()].into_iter().flatten() {
                if standings.contains_key(key) {
                } else if let Some(standing) = state.standings.get_mut(key) {
                    standings.insert(key.clone(), standing.row);
                } else {
                    cold_standings.insert(key.clone());
                }
            }
            if let Some(key) = &job.sender_cursor
                && !places.contains_key(key)
            {
                match state.places.get_mut(key) {
                    Some(place) => drop(places.insert(key.clone(), place.clone())),
                    None => drop(cold_places.insert(key.clone())),
                }
            }
            let target = job.needs_target().then_some(job.request.target_id);
            for id in [target, job.stored_id()].into_iter().flatten() {
                cold_targets.insert((job.app, job.channel_key.clone(), id));
            }
        }
    });

    let mut keys: Vec<RowKey> = cold_standings.iter().map(StandingKey::row).collect();
    keys.extend(cold_places.iter().flat_map(|key| [key.row(), key.device_row()]));
    keys.extend(cold_targets.iter().map(|(app, channel, id)| message_row(*app, channel, *id)));
    let mut values = core.get_many(keys).await?.into_iter();
    let mut next = || values.next().flatten();
    for key in cold_standings {
        standings.insert(key, decode(next())?);
    }
    for key in cold_places {
        let (cursor, device) = (next(), next());
        places.insert(key, place_of(cursor, device)?);
    }
    let mut targets = HashMap::with_capacity(cold_targets.len());
    for key in cold_targets {
        let row = next();
        targets.insert(key, row.map(|row| decode(Some(row))).transpose()?);
    }
    Ok((standings, places, targets))
}
