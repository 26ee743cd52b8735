//! Keeps the entries of this router's sessions in the registry, and the users within their limits.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bulkhead_bus::{REGISTRY_BATCH_MAX, SlotSet, Topic};
use bulkhead_model::{AppUuid, ErrorKind, Result};
use bulkhead_proto::router::bus_frame::Signal;
use bulkhead_proto::router::{ForcedOut, ForcedOutSession};
use bytes::Bytes;
use futures_util::future::join_all;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::limit::{Seen, surplus};
use super::{Elsewhere, Entered, Register, elsewhere};
use crate::core::Core;
use crate::sequence::timely;
use crate::sessions::{PARTS, Sessions};
use crate::signals::app_bytes;

/// How long an entry lives that is not renewed. A sealed entry opens for at least an hour, so no longer than that.
const TTL_MS: u64 = 60 * 60 * 1000;

/// How often an entry is renewed: two renewals may fail.
const RENEW_EVERY_MS: u64 = 20 * 60 * 1000;

/// How often it is looked whether something is to be renewed or tried again.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Entries that have ended and could not be removed; more end by themselves.
const LATE_MAX: usize = 100_000;

/// See the module. Runs until told to stop.
pub(crate) async fn run(core: Arc<Core>, register: Arc<Register>, stop: CancellationToken) {
    let mut keeper = Keeper::new(&core);
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let look = tokio::select! {
            () = stop.cancelled() => return,
            () = register.changed.notified() => false,
            _ = looks.tick() => true,
        };
        keeper.round(&core, &register, look).await;
    }
}

struct Keeper {
    /// The row that the entries name.
    router: Arc<str>,
    /// When each part of the sessions is renewed next.
    renewals_ms: Vec<u64>,
    /// Slots whose sessions could not be put.
    owed: SlotSet,
    /// What could not be removed.
    late: Vec<(Topic, Bytes)>,
}

impl Keeper {
    fn new(core: &Core) -> Self {
        let now_ms = core.sequencer.now_ms();
        let step = |part: usize| now_ms + RENEW_EVERY_MS * (part as u64 + 1) / PARTS as u64;
        Self {
            router: core.member().id(),
            renewals_ms: (0..PARTS).map(step).collect(),
            owed: SlotSet::none(),
            late: Vec::new(),
        }
    }

    /// Does what waits; with a `look` also what is due and what failed before.
    async fn round(&mut self, core: &Core, register: &Register, look: bool) {
        let pending = register.take();
        let router = core.member().id();
        let mut again = pending.owed.0;
        if router != self.router {
            // The others count entries of the old row for nothing.
            self.router = router;
            again = SlotSet::all();
        }
        let mut ended = pending.ended;
        if look {
            ended.append(&mut self.late);
            again.add(&std::mem::replace(&mut self.owed, SlotSet::none()));
        }
        self.remove(core, register, ended).await;
        for done in pending.settle {
            // Whoever asked may have given up.
            let _ = done.send(());
        }

        let sessions = &core.sessions;
        let of_fresh = |(app, user, number): (AppUuid, String, u64)| sessions.entered(app, &user, number);
        let fresh: Vec<_> = pending.fresh.into_iter().filter_map(of_fresh).collect();
        self.put(core, register, fresh, true).await;
        if !again.is_empty() {
            for part in 0..PARTS {
                self.put(core, register, sessions.all_entered(part, &again), false).await;
            }
        }
        if look {
            let now_ms = core.sequencer.now_ms();
            for part in 0..PARTS {
                if self.renewals_ms[part] <= now_ms {
                    self.renewals_ms[part] = now_ms + RENEW_EVERY_MS;
                    self.put(core, register, sessions.all_entered(part, &SlotSet::all()), false).await;
                }
            }
        }
    }

    async fn remove(&mut self, core: &Core, register: &Register, ended: Vec<(Topic, Bytes)>) {
        let shards = by_shard(register, ended, |(topic, _)| topic.slot()).into_values();
        let removals = shards.map(|fields| async move {
            let mut left = fields.into_iter().peekable();
            while left.peek().is_some() {
                let batch: Vec<_> = left.by_ref().take(REGISTRY_BATCH_MAX).collect();
                let removed = timely(core.call_timeout(), register.registry.remove(batch.clone())).await;
                register.answered(removed.as_ref().err());
                if removed.is_err() {
                    return batch.into_iter().chain(left).collect();
                }
            }
            Vec::new()
        });
        self.late.extend(join_all(removals).await.into_iter().flatten());
        self.late.truncate(LATE_MAX);
        register.set_late(self.late.iter().map(|(topic, _)| topic.slot()).collect());
    }

    async fn put(&mut self, core: &Core, register: &Register, entries: Vec<Entered>, fresh: bool) {
        let router = &self.router;
        let shards = by_shard(register, entries, |entered| entered.topic().slot()).into_values();
        let puts = shards.map(|entries| async move {
            for (index, batch) in entries.chunks(REGISTRY_BATCH_MAX).enumerate() {
                if put_batch(core, register, router, batch, fresh).await.is_err() {
                    let rest = &entries[index * REGISTRY_BATCH_MAX..];
                    return rest.iter().map(|entered| entered.topic().slot()).collect();
                }
            }
            SlotSet::none()
        });
        join_all(puts).await.iter().for_each(|failed| self.owed.add(failed));
    }
}

/// Puts entries, and then looks at everything that their users have.
async fn put_batch(
    core: &Core,
    register: &Register,
    router: &str,
    batch: &[Entered],
    fresh: bool,
) -> Result<()> {
    let puts = batch.iter().map(|entered| entered.put(&register.origin, router)).collect();
    let put = timely(core.call_timeout(), register.registry.put(puts, TTL_MS)).await;
    // A user who has too many entries, which no user has without routers that crash all the time, has some that others do
    // not see.
    let put = put.or_else(|error| if error.kind() == ErrorKind::RateLimited { Ok(()) } else { Err(error) });
    register.answered(put.as_ref().err());
    put?;
    let mut users: HashMap<(AppUuid, &str), HashSet<u64>> = HashMap::new();
    for entered in batch {
        let of_user = users.entry((entered.app, &entered.user)).or_default();
        if fresh {
            of_user.insert(entered.session);
        }
    }
    let users: Vec<_> = users.into_iter().collect();
    let topics: Vec<Topic> = users.iter().map(|((app, user), _)| Topic::user(*app, user)).collect();
    let mut frames = Vec::new();
    for (((app, user), fresh), there) in users.iter().zip(elsewhere(core, &topics).await) {
        let Elsewhere::Known(there) = there else { continue };
        if there.is_empty() {
            continue;
        }
        if let Some(forced) = forced_out(&core.sessions, *app, user, fresh, there) {
            core.sessions.force_out(&forced);
            frames.push(core.others.frame(Topic::user(*app, user), Signal::ForcedOut(forced)));
        }
    }
    core.others.tell(frames).await;
    Ok(())
}

/// What gives way of a user's sessions here and `there`.
fn forced_out(
    sessions: &Sessions,
    app: AppUuid,
    user: &str,
    fresh: &HashSet<u64>,
    there: Vec<bulkhead_proto::router::SessionEntry>,
) -> Option<ForcedOut> {
    let mut seen = sessions.seen(app, user);
    seen.iter_mut().for_each(|here| here.fresh = fresh.contains(&here.session));
    seen.extend(there.into_iter().map(|entry| Seen {
        session: entry.session,
        device: entry.device,
        platform: entry.platform,
        opened_ms: entry.opened_ms,
        ..Seen::default()
    }));
    let gone = surplus(seen);
    let forced = gone.into_iter().map(|one| ForcedOutSession {
        session: one.session,
        device: one.device,
        reason: one.reason.into(),
        detail: one.detail,
    });
    let sessions: Vec<_> = forced.collect();
    (!sessions.is_empty()).then(|| ForcedOut { app: app_bytes(app), user: user.to_owned(), sessions })
}

fn by_shard<T>(register: &Register, items: Vec<T>, slot: impl Fn(&T) -> u16) -> BTreeMap<usize, Vec<T>> {
    let mut of_shard: BTreeMap<usize, Vec<T>> = BTreeMap::new();
    for item in items {
        of_shard.entry(register.registry.shard_of(slot(&item))).or_default().push(item);
    }
    of_shard
}
