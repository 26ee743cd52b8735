//! The sessions of users at other routers that live.

use std::collections::{BTreeMap, HashSet};

use bulkhead_bus::{Entry, REGISTRY_BATCH_MAX, Topic};
use bulkhead_model::Result;
use bulkhead_proto::router::SessionEntry;
use futures_util::future::join_all;

use super::Register;
use super::entry::of_another;
use crate::core::Core;
use crate::sequence::timely;
use crate::slots;

/// What is known of a user's sessions at other routers.
#[derive(Clone, Debug)]
pub(crate) enum Elsewhere {
    Known(Vec<SessionEntry>),
    /// The registry does not answer.
    Unknown,
}

/// The sessions of each user, in the order of the users' topics. In a region with one router there are none.
pub(crate) async fn elsewhere(core: &Core, users: &[Topic]) -> Vec<Elsewhere> {
    let Some(register) = &core.register else {
        return vec![Elsewhere::Known(Vec::new()); users.len()];
    };
    let mut of_shard: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (index, user) in users.iter().enumerate() {
        of_shard.entry(register.registry.shard_of(user.slot())).or_default().push(index);
    }
    let shards = of_shard.into_values().map(|indexes| list(core, register, users, indexes));
    let mut found = vec![Elsewhere::Unknown; users.len()];
    let mut heard = Vec::new();
    for (index, entries) in join_all(shards).await.into_iter().flatten() {
        let sessions = entries.into_iter().filter_map(|entry| of_another(&register.origin, entry));
        heard.push((index, sessions.collect::<Vec<_>>()));
    }
    let routers = heard.iter().flat_map(|(_, sessions)| sessions).map(|session| session.router.as_str());
    match gone_among(core, register, routers.collect()).await {
        Ok(gone) => {
            for (index, mut sessions) in heard {
                sessions.retain(|session| !gone.contains(&session.router));
                found[index] = Elsewhere::Known(sessions);
            }
        }
        Err(error) => tracing::warn!(%error, "which routers live could not be read"),
    }
    found
}

/// The entries of users whose keys are on one shard; those that it does not answer for are left out.
async fn list(
    core: &Core,
    register: &Register,
    users: &[Topic],
    indexes: Vec<usize>,
) -> Vec<(usize, Vec<Entry>)> {
    let mut found = Vec::with_capacity(indexes.len());
    for indexes in indexes.chunks(REGISTRY_BATCH_MAX) {
        let keys = indexes.iter().map(|index| users[*index].clone()).collect();
        let listed = timely(core.call_timeout(), register.registry.list(keys)).await;
        register.answered(listed.as_ref().err());
        let Ok(listed) = listed else { break };
        found.extend(indexes.iter().copied().zip(listed));
    }
    found
}

/// Those of the routers that are gone. One that this router has not heard of has joined just now, or went long ago: its
/// row tells, because a router has a row before it has sessions.
async fn gone_among(core: &Core, register: &Register, routers: HashSet<&str>) -> Result<HashSet<String>> {
    let map = core.ownership.map();
    let lives = |router: &str| map.routers.iter().any(|living| living.id == router);
    let unsure: Vec<&str> = routers.into_iter().filter(|router| !lives(router)).collect();
    let mut gone = HashSet::new();
    if unsure.is_empty() {
        return Ok(gone);
    }
    let mut living: Option<HashSet<String>> = None;
    for router in unsure {
        if !register.is_known_gone(router) {
            let living = match &living {
                Some(living) => living,
                None => living.insert(slots::living(core).await?),
            };
            if living.contains(router) {
                continue;
            }
            register.know_gone(router);
        }
        gone.insert(router.to_owned());
    }
    Ok(gone)
}
