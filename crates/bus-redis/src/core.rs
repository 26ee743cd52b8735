use std::sync::Arc;
use std::time::{Duration, Instant};

use bulkhead_bus::{BusSink, SlotSet, Subscriptions, Topic};
use parking_lot::RwLock;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::connect::Connector;
use crate::shard::Shard;
use crate::{Layout, RedisLimits};

/// Pause before a shard is dialled again at once after a connection that lasted.
const RETRY_MIN: Duration = Duration::from_millis(20);

/// A connection that lasted this long was a good one.
const GOOD_CONNECTION: Duration = Duration::from_secs(5);

/// What the connections of a bus share.
pub(crate) struct Core {
    pub(crate) layout: Layout,
    pub(crate) limits: RedisLimits,
    pub(crate) connector: Connector,
    pub(crate) sink: Arc<dyn BusSink>,
    pub(crate) wanted: RwLock<Subscriptions>,
    pub(crate) places: RwLock<Arc<Places>>,
    /// Something hints that slots of the cluster have moved.
    pub(crate) moved: Notify,
    pub(crate) stop: CancellationToken,
}

/// Which shard has which slot.
pub(crate) struct Places {
    pub(crate) shards: Vec<Arc<Shard>>,
    /// The shard of each slot, by its place in `shards`.
    pub(crate) of_slot: Vec<usize>,
}

impl Places {
    pub(crate) fn shard_of(&self, slot: u16) -> &Arc<Shard> {
        &self.shards[self.of_slot[usize::from(slot)]]
    }
}

impl Core {
    pub(crate) fn places(&self) -> Arc<Places> {
        self.places.read().clone()
    }

    /// The topics in these slots that have a holder.
    pub(crate) fn wanted_in(&self, slots: &SlotSet) -> Vec<Topic> {
        let wanted = self.wanted.read();
        wanted.topics().filter(|topic| slots.contains(topic.slot())).cloned().collect()
    }
}

/// How long to wait before a shard is dialled again.
pub(crate) struct Backoff {
    next: Duration,
    max: Duration,
    connected: Option<Instant>,
}

impl Backoff {
    pub(crate) fn new(max: Duration) -> Self {
        Self { next: RETRY_MIN, max, connected: None }
    }

    pub(crate) fn connected(&mut self) {
        self.connected = Some(Instant::now());
    }

    /// The pause before the next attempt: doubles from attempt to attempt, and starts anew after a good connection.
    pub(crate) fn pause(&mut self) -> Duration {
        if self.connected.take().is_some_and(|since| since.elapsed() >= GOOD_CONNECTION) {
            self.next = RETRY_MIN;
        }
        let pause = self.next.min(self.max);
        self.next = (self.next * 2).min(self.max);
        pause
    }
}
