//! Keeps this router's lease and its share of the slots.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use bulkhead_model::{Entropy, ErrorKind, Result, SLOT_RANGE_COUNT};
use bulkhead_proto::records::{RouterMember, SlotRange};
use bulkhead_proto::router::{RouterAddress, SlotMap};
use bulkhead_store::Mutation;
use bytes::Bytes;
use futures_util::future::join_all;
use prost::Message;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::plan::{self, Step};
use super::rows::{self, Found, member_row, range_row};
use super::{Ownership, Ranges};
use crate::channels::depart;
use crate::core::Core;
use crate::sequence::timely;

/// Looks at the rows in one lease.
const LOOKS_PER_LEASE: u32 = 5;

/// How often a router tries to make a row for itself.
const JOIN_ATTEMPTS_MAX: usize = 5;

/// A range that nobody owns, where a number of a router stands.
const NOBODY: usize = usize::MAX;

pub(crate) struct Steward {
    core: Arc<Core>,
    entropy: Arc<dyn Entropy>,
    /// For each other router the beat that was seen last, and since when.
    beats: HashMap<String, (u64, Instant)>,
    /// The routers that lived at the last look.
    living: HashSet<String>,
}

/// The rows as they were read.
struct View {
    members: Vec<(String, Found<RouterMember>)>,
    ranges: Vec<Found<SlotRange>>,
}

impl View {
    /// The ids of the routers that live, in order.
    fn living(&self) -> Vec<&str> {
        let living = self.members.iter().filter(|(_, member)| !member.record.gone);
        living.map(|(id, _)| id.as_str()).collect()
    }

    /// For each range the place of its owner among those that live.
    fn owners(&self, living: &[&str]) -> Vec<usize> {
        let place = |owner: &str| living.iter().position(|id| *id == owner).unwrap_or(NOBODY);
        self.ranges.iter().map(|range| place(&range.record.owner)).collect()
    }

    /// What nobody has given an id beyond, for a range whose owner is gone.
    fn floor_ms(&self, range: &SlotRange) -> u64 {
        let owner = self.members.iter().find(|(id, _)| *id == range.owner);
        owner.map_or(range.floor_ms, |(_, member)| range.floor_ms.max(member.record.ceiling_ms))
    }
}

impl Steward {
    /// Joins the region's routers. When this one is `alone`, for certain, it owns every slot when this returns;
    /// otherwise it gets its share in time.
    pub(crate) async fn join(core: Arc<Core>, entropy: Arc<dyn Entropy>, alone: bool) -> Result<Self> {
        let mut steward = Self { core, entropy, beats: HashMap::new(), living: HashSet::new() };
        if alone {
            steward.replace_all().await?;
        } else {
            steward.become_member().await?;
            if let Err(error) = steward.look().await {
                tracing::warn!(%error, "the slots could not be looked at yet");
            }
        }
        Ok(steward)
    }

    /// Renews and looks until told to stop, then gives everything away.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let Some(length) = self.core.member().lease.length() else {
            return stop.cancelled().await;
        };
        let mut looks = tokio::time::interval(length / LOOKS_PER_LEASE);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = looks.tick() => {}
                () = self.core.look_at_slots.notified() => {}
            }
            if let Err(error) = self.turn().await {
                tracing::warn!(%error, "the lease or the slots could not be kept up");
            }
        }
    }

    /// Gives every range to the routers that stay, and then the lease. Nothing is acknowledged afterwards.
    pub(crate) async fn leave(core: &Arc<Core>) -> Result<()> {
        let view = Self::read(core).await?;
        let living = view.living();
        let owners = view.owners(&living);
        let id = core.member().id();
        if let Some(me) = living.iter().position(|living| *living == &*id) {
            let steps = plan::leave(me, living.len(), &owners);
            Self::give(core, &view, &living, &steps).await;
        }
        let given_ms = core.sequencer.given_ms();
        release(core, Ranges::ALL, true).await;
        core.member().leave(given_ms).await
    }

    async fn turn(&mut self) -> Result<()> {
        let renewed = self.core.member().renew().await;
        match renewed {
            Err(error) if error.kind() == ErrorKind::NotOwner => {
                // What is in memory may be out of date, and nothing of it may be written any more.
                release(&self.core, Ranges::ALL, false).await;
                self.become_member().await?;
            }
            renewed => renewed?,
        }
        self.look().await
    }

    async fn become_member(&mut self) -> Result<()> {
        for _ in 0..JOIN_ATTEMPTS_MAX {
            let ceiling_ms = self.core.sequencer.first_ceiling_ms();
            match self.core.member().join(&*self.entropy, ceiling_ms).await {
                Err(error) if error.kind() == ErrorKind::Conflict => {}
                joined => return joined,
            }
        }
        Err(ErrorKind::Conflict.with("no id for this router could be found"))
    }

    /// Takes every slot, whoever had it: nobody else can be there.
    async fn replace_all(&mut self) -> Result<()> {
        let view = Self::read(&self.core).await?;
        self.become_member().await?;
        let id = self.core.member().id();
        let mut mutations = Vec::with_capacity(view.ranges.len() + view.members.len());
        let mut floors_ms = Vec::with_capacity(view.ranges.len());
        for (range, found) in (0..SLOT_RANGE_COUNT).zip(&view.ranges) {
            let floor_ms = view.floor_ms(&found.record);
            floors_ms.push((range, floor_ms));
            let mine = SlotRange { owner: id.to_string(), epoch: found.record.epoch + 1, floor_ms };
            mutations.push(crate::lane::put(range_row(range), &mine));
        }
        mutations.extend(view.members.iter().map(|(gone, _)| Mutation::Delete(member_row(gone))));
        self.core.write(mutations).await?;
        floors_ms.into_iter().for_each(|(range, floor_ms)| self.core.ownership.acquire(range, floor_ms));
        set_map(&self.core.ownership, &Self::read(&self.core).await?);
        Ok(())
    }

    /// Reads the rows and does this router's part of the plan.
    async fn look(&mut self) -> Result<()> {
        let mut view = Self::read(&self.core).await?;
        self.declare_gone(&mut view).await?;
        let id = self.core.member().id();
        let living = view.living();
        let Some(me) = living.iter().position(|living| *living == &*id) else {
            return Err(ErrorKind::Unavailable.with("this router is not among the routers"));
        };
        let owners = view.owners(&living);
        let steps = plan::plan(me, living.len(), &owners);
        Self::give(&self.core, &view, &living, &steps).await;
        let own = (0..).zip(&owners).filter(|(_, owner)| **owner == me).map(|(range, _)| range);
        let given = |range: u16| {
            steps
                .iter()
                .any(|step| matches!(step, Step::Give { range: given, .. } if *given == usize::from(range)))
        };
        let mut fresh: Vec<_> = own
            .filter(|range| !given(*range) && !self.core.ownership.ranges().has(*range))
            .map(|range| (range, view.ranges[usize::from(range)].record.floor_ms))
            .collect();
        let takes = steps.iter().filter_map(|step| match step {
            Step::Take { range } => Some(take(&self.core, &id, &view, *range)),
            Step::Give { .. } => None,
        });
        fresh.extend(join_all(takes).await.into_iter().flatten());
        if !fresh.is_empty() {
            // Another router may have answered these senders, and moved these cursors, since they were read here.
            self.core.dedup.doubt_all();
            let ranges =
                fresh.iter().map(|(range, _)| Ranges::one(*range)).fold(Ranges::default(), Ranges::with);
            release(&self.core, ranges, false).await;
            tracing::info!(ranges = fresh.len(), "took over slots");
            fresh.into_iter().for_each(|(range, floor_ms)| self.core.ownership.acquire(range, floor_ms));
        }
        let view = Self::read(&self.core).await?;
        set_map(&self.core.ownership, &view);
        self.note_living(&view);
        Ok(())
    }

    /// The sessions of a router that is gone have ended with it: who was in a room through it may not be back.
    fn note_living(&mut self, view: &View) {
        let living: HashSet<String> = view.living().into_iter().map(str::to_owned).collect();
        if self.living.iter().any(|before| !living.contains(before)) {
            depart::look_at_rooms(&self.core);
        }
        self.living = living;
    }

    async fn read(core: &Arc<Core>) -> Result<View> {
        let (members, ranges) = tokio::try_join!(rows::members(core), rows::ranges(core))?;
        Ok(View { members, ranges })
    }

    /// Declares routers gone whose rows stand still for as long as a lease, and forgets those that own nothing.
    async fn declare_gone(&mut self, view: &mut View) -> Result<()> {
        let Some(length) = self.core.member().lease.length() else { return Ok(()) };
        let own = self.core.member().id();
        self.beats.retain(|id, _| view.members.iter().any(|(member, _)| member == id));
        let mut forgotten = Vec::new();
        for (id, found) in view.members.iter_mut().filter(|(id, _)| **id != *own) {
            let now = Instant::now();
            let (beat, since) = self.beats.entry(id.clone()).or_insert((found.record.beat, now));
            if *beat != found.record.beat {
                (*beat, *since) = (found.record.beat, now);
            }
            let silent = now.saturating_duration_since(*since);
            if !found.record.gone && silent >= length {
                declare(&self.core, id, found).await?;
            }
            let owns = view.ranges.iter().any(|range| range.record.owner == *id);
            // Kept for another lease, so that the router itself finds out from its row.
            if found.record.gone && !owns && silent >= 2 * length {
                forgotten.push(Mutation::Delete(member_row(id)));
            }
        }
        if forgotten.is_empty() { Ok(()) } else { self.core.write(forgotten).await }
    }

    /// Gives ranges away: the lanes write what they know of them first.
    async fn give(core: &Arc<Core>, view: &View, living: &[&str], steps: &[Step]) {
        let gives = steps.iter().filter_map(|step| match step {
            Step::Give { range, to } => Some((*range, *to)),
            Step::Take { .. } => None,
        });
        let gives: Vec<_> = gives.collect();
        let one = |(range, _): &(usize, usize)| Ranges::one(u16::try_from(*range).unwrap_or_default());
        let ranges = gives.iter().map(one).fold(Ranges::default(), Ranges::with);
        if ranges.is_empty() {
            return;
        }
        release(core, ranges, true).await;
        let floor_ms = core.sequencer.given_ms();
        let changes = gives.iter().map(|(range, to)| {
            let found = &view.ranges[*range];
            let given = SlotRange {
                owner: living[*to].to_owned(),
                epoch: found.record.epoch + 1,
                floor_ms: floor_ms.max(core.ownership.floor_ms_of(*range)),
            };
            change_range(core, *range, found, given)
        });
        for outcome in join_all(changes).await {
            if let Err(error) = outcome {
                tracing::warn!(%error, "a range of slots could not be given away");
            }
        }
        core.others.tell_slots_changed().await;
    }
}

/// Takes a range that nobody owns; answers its floor if it worked.
async fn take(core: &Arc<Core>, id: &str, view: &View, range: usize) -> Option<(u16, u64)> {
    let found = &view.ranges[range];
    let floor_ms = view.floor_ms(&found.record);
    let mine = SlotRange { owner: id.to_owned(), epoch: found.record.epoch + 1, floor_ms };
    match change_range(core, range, found, mine).await {
        Ok(true) => Some((u16::try_from(range).ok()?, floor_ms)),
        Ok(false) => None,
        Err(error) => {
            tracing::warn!(%error, range, "a range of slots could not be taken");
            None
        }
    }
}

async fn change_range(
    core: &Arc<Core>,
    range: usize,
    found: &Found<SlotRange>,
    to: SlotRange,
) -> Result<bool> {
    let key = range_row(u16::try_from(range).unwrap_or_default());
    let change = core.store.compare_and_set(key, found.value.clone(), Bytes::from(to.encode_to_vec()));
    timely(core.call_timeout(), change).await
}

async fn declare(core: &Arc<Core>, id: &str, found: &mut Found<RouterMember>) -> Result<()> {
    let mut record = found.record.clone();
    record.gone = true;
    record.beat += 1;
    let value = Bytes::from(record.encode_to_vec());
    let change = core.store.compare_and_set(member_row(id), found.value.clone(), value.clone());
    if timely(core.call_timeout(), change).await? {
        tracing::warn!(router = id, "declared a router gone: it has not renewed its lease");
        metrics::counter!("bulkhead_router_takeovers_total").increment(1);
        *found = Found { record, value: Some(value) };
    }
    Ok(())
}

/// Stops owning ranges. Returns when no lane has anything of them in flight or in memory; what was known about cursors
/// is written first if `write` says so.
async fn release(core: &Arc<Core>, ranges: Ranges, write: bool) {
    core.ownership.give_up(ranges);
    join_all(core.lanes.iter().map(|lane| lane.release(ranges, write))).await;
}

fn set_map(ownership: &Ownership, view: &View) {
    let living = view.living();
    let owners = view.owners(&living).into_iter();
    let owners = owners.map(|owner| u32::try_from(owner.min(living.len())).unwrap_or(u32::MAX)).collect();
    let routers = view
        .members
        .iter()
        .filter(|(_, member)| !member.record.gone)
        .map(|(id, member)| RouterAddress { id: id.clone(), url: member.record.address.clone() });
    ownership.set_map(SlotMap { routers: routers.collect(), owners });
}
