//! What waits for the keeper: sessions that have just opened or ended.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bulkhead_bus::{Registry, SlotSet, Topic};
use bulkhead_model::{AppUuid, Error};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::entry::field;

/// Sessions that have opened and wait to be put; the slots of more are put as a whole.
const FRESH_MAX: usize = 10_000;

/// Sessions that have ended and wait to be removed; entries of more end by themselves.
const ENDED_MAX: usize = 100_000;

/// Ids of routers that are known to be gone.
const GONE_ROUTERS_MAX: usize = 1000;

/// How long the keeper may take to be done with what has ended.
const SETTLE_LIMIT: Duration = Duration::from_secs(10);

/// The way to the registry, and what is to be told to it.
pub(crate) struct Register {
    pub(super) registry: Arc<dyn Registry>,
    /// Names this run.
    pub(super) origin: String,
    pending: Mutex<Pending>,
    pub(super) changed: Notify,
    gone_routers: Mutex<HashSet<String>>,
    fails: AtomicBool,
}

/// See [`Register`].
#[derive(Default)]
pub(super) struct Pending {
    /// App, user and number of sessions that have opened.
    pub(super) fresh: Vec<(AppUuid, String, u64)>,
    pub(super) ended: Vec<(Topic, Bytes)>,
    /// Slots whose sessions are all to be put (again).
    pub(super) owed: Owed,
    pub(super) settle: Vec<oneshot::Sender<()>>,
    /// Slots in which something that has ended is still in the registry, because it did not answer.
    late: Option<SlotSet>,
}

/// See [`Pending::owed`].
pub(super) struct Owed(pub(super) SlotSet);

impl Default for Owed {
    fn default() -> Self {
        Self(SlotSet::none())
    }
}

/// A session that is in the registry, or will be, until this is dropped.
pub(crate) struct Registration(Option<(Arc<Register>, Topic, u64)>);

impl Register {
    pub(crate) fn new(registry: Arc<dyn Registry>, origin: String) -> Arc<Self> {
        Arc::new(Self {
            registry,
            origin,
            pending: Mutex::default(),
            changed: Notify::new(),
            gone_routers: Mutex::default(),
            fails: AtomicBool::new(false),
        })
    }

    /// The registry has forgotten, or may have, what was in these slots: it is put again.
    pub(crate) fn put_again(&self, slots: &SlotSet) {
        self.pending.lock().owed.0.add(slots);
        self.changed.notify_one();
    }

    /// Returns when what had ended before is no longer in the registry. Answers the slots of which that is not certain.
    pub(crate) async fn settled(&self) -> SlotSet {
        let (done, settled) = oneshot::channel();
        self.pending.lock().settle.push(done);
        self.changed.notify_one();
        match tokio::time::timeout(SETTLE_LIMIT, settled).await {
            Ok(Ok(())) => self.pending.lock().late.unwrap_or(SlotSet::none()),
            _ => SlotSet::all(),
        }
    }

    pub(super) fn take(&self) -> Pending {
        let mut pending = self.pending.lock();
        let late = pending.late;
        Pending { late: None, ..std::mem::replace(&mut *pending, Pending { late, ..Pending::default() }) }
    }

    pub(super) fn set_late(&self, slots: SlotSet) {
        self.pending.lock().late = Some(slots);
    }

    /// The registry has answered, or not. Said once, until it changes.
    pub(super) fn answered(&self, failure: Option<&Error>) {
        match failure {
            Some(error) => {
                metrics::counter!("bulkhead_router_registry_failures_total").increment(1);
                if !self.fails.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "the registry does not answer: sessions at other routers are not seen");
                }
            }
            None => {
                if self.fails.swap(false, Ordering::Relaxed) {
                    tracing::info!("the registry answers again");
                }
            }
        }
    }

    pub(super) fn is_known_gone(&self, router: &str) -> bool {
        self.gone_routers.lock().contains(router)
    }

    pub(super) fn know_gone(&self, router: &str) {
        let mut gone = self.gone_routers.lock();
        if gone.len() >= GONE_ROUTERS_MAX {
            // Whoever is met again is looked up again.
            gone.clear();
        }
        gone.insert(router.to_owned());
    }

    /// A session has opened and can be looked up: it is put soon.
    pub(crate) fn open(&self, app: AppUuid, user: &str, session: u64) {
        let mut pending = self.pending.lock();
        if pending.fresh.len() < FRESH_MAX {
            pending.fresh.push((app, user.to_owned(), session));
        } else {
            pending.owed.0.insert(Topic::user(app, user).slot());
        }
        drop(pending);
        self.changed.notify_one();
    }

    fn end(&self, topic: &Topic, session: u64) {
        let mut pending = self.pending.lock();
        if pending.ended.len() >= ENDED_MAX {
            metrics::counter!("bulkhead_router_registry_unremoved_total").increment(1);
            return;
        }
        pending.ended.push((topic.clone(), field(&self.origin, session)));
        drop(pending);
        self.changed.notify_one();
    }
}

impl Registration {
    /// Of a session that is told to nobody.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    pub(crate) fn of(register: &Arc<Register>, app: AppUuid, user: &str, session: u64) -> Self {
        Self(Some((register.clone(), Topic::user(app, user), session)))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some((register, topic, session)) = self.0.take() {
            register.end(&topic, session);
        }
    }
}
