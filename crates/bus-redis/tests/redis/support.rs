use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bulkhead_bus::{
    Bus, BusEvent, BusKey, BusKeys, BusReceiver, BusSink, Frame, SealedBus, Sealer, Topic, queue,
};
use bulkhead_bus_redis::{Layout, RedisBus, RedisLimits, RedisSettings};
use bulkhead_model::{AppUuid, ManualClock, Region, Result, SeededEntropy};
use bulkhead_testkit::{RedisOptions, RedisServer};
use bytes::Bytes;
use zeroize::Zeroizing;

pub(crate) const REGION: Region = Region::Singapore;

pub(crate) const APP: AppUuid = AppUuid(*b"app-identity-16b");

/// How long a test waits for something that has to happen.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

const NOW_MS: u64 = 1_800_000_000_000;

pub(crate) fn settings(layout: Layout, shards: Vec<String>) -> RedisSettings {
    RedisSettings {
        region: REGION,
        layout,
        shards,
        user: None,
        password: None,
        tls_ca: None,
        limits: RedisLimits {
            connect: Duration::from_secs(2),
            answer: Duration::from_secs(2),
            ping: Duration::from_secs(1),
            retry_max: Duration::from_millis(100),
            ..RedisLimits::default()
        },
    }
}

pub(crate) fn servers(count: usize) -> Vec<RedisServer> {
    let start = |_| RedisServer::start(RedisOptions::default()).expect("redis-server starts");
    (0..count).map(start).collect()
}

pub(crate) fn urls(servers: &[RedisServer]) -> Vec<String> {
    servers.iter().map(RedisServer::url).collect()
}

/// A bus and what comes out of it.
pub(crate) struct Member {
    pub(crate) bus: Arc<RedisBus>,
    pub(crate) events: BusReceiver,
}

impl Member {
    pub(crate) async fn start(settings: RedisSettings) -> Self {
        let (sink, events) = queue(100_000, 64 * 1024 * 1024);
        let bus = RedisBus::start(settings, sink).await.expect("the bus starts");
        Self { bus, events }
    }

    pub(crate) async fn subscribe(&self, topic: &Topic) {
        self.bus.subscribe(vec![topic.clone()]).await.expect("it is subscribed");
    }

    pub(crate) async fn publish(&self, topic: &Topic, payload: &str) {
        self.bus.publish(vec![frame(topic, payload)]).await.expect("it is published");
    }

    pub(crate) async fn event(&mut self) -> BusEvent {
        let event = tokio::time::timeout(LIMIT, self.events.recv()).await;
        event.expect("an event comes in time").expect("the bus is alive")
    }

    pub(crate) async fn expect(&mut self, topic: &Topic, payload: &str) {
        assert_eq!(self.event().await, BusEvent::Frame(frame(topic, payload)));
    }

    /// Takes events until there is a gap that covers the topic; `seen` gets every other event.
    pub(crate) async fn gap_of(&mut self, topic: &Topic, mut seen: impl FnMut(BusEvent)) {
        loop {
            match self.event().await {
                BusEvent::Gap { slots } if slots.contains(topic.slot()) => return,
                other => seen(other),
            }
        }
    }

    /// Waits until every shard is reached.
    pub(crate) async fn whole(&self) {
        until("every shard is back", || self.bus.shards_away().is_empty()).await;
    }
}

pub(crate) fn frame(topic: &Topic, payload: &str) -> Frame {
    Frame { topic: topic.clone(), payload: Bytes::copy_from_slice(payload.as_bytes()) }
}

/// A user's topic that lies on the shard at `address`.
pub(crate) fn topic_at(bus: &RedisBus, address: &str) -> Topic {
    (0..)
        .map(|n| Topic::user(APP, &format!("user{n}")))
        .find(|topic| bus.shard_of(topic) == address)
        .expect("every shard has a slot")
}

pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LIMIT, "still not: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

struct FixedKeys;

#[async_trait]
impl BusKeys for FixedKeys {
    async fn hour_key(&self, hour: u64) -> Result<BusKey> {
        let mut key = [3; 32];
        key[..8].copy_from_slice(&hour.to_be_bytes());
        Ok(BusKey::new(Zeroizing::new(key)))
    }

    async fn naming_key(&self) -> Result<BusKey> {
        Ok(BusKey::new(Zeroizing::new([4; 32])))
    }
}

pub(crate) async fn sealer(seed: u64) -> Arc<Sealer> {
    let (clock, entropy) = (Arc::new(ManualClock::at(NOW_MS)), Arc::new(SeededEntropy::new(seed)));
    Sealer::start(REGION, Arc::new(FixedKeys), clock, entropy).await.expect("the keys are there")
}

/// A sealed bus, and the bus on Redis below it.
pub(crate) async fn sealed(
    sealer: Arc<Sealer>,
    settings: RedisSettings,
    sink: Arc<dyn BusSink>,
) -> (Arc<SealedBus>, Arc<RedisBus>) {
    let mut below = None;
    let build = |opening| {
        let below = &mut below;
        async move {
            let bus = RedisBus::start(settings, opening).await?;
            *below = Some(bus.clone());
            Ok(bus as Arc<dyn Bus>)
        }
    };
    let bus = SealedBus::new(sealer, sink, build).await.expect("the bus starts");
    (bus, below.expect("it was built"))
}
