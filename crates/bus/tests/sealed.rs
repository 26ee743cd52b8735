//! What sealing lets through and what it does not.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use bulkhead_bus::{
    Bus, BusEvent, BusKey, BusKeys, BusReceiver, Entry, Frame, HOUR_MS, LocalBus, LocalHub, LocalRegistry,
    Registry, RegistryPut, SealedBus, SealedRegistry, Sealer, Topic, queue,
};
use bulkhead_model::{AppUuid, ErrorKind, ManualClock, Region, Result, SeededEntropy};
use bytes::Bytes;
use parking_lot::Mutex;
use zeroize::Zeroizing;

const APP: AppUuid = AppUuid([1; 16]);

/// The last millisecond of an hour.
const LAST_MS: u64 = 500_000 * HOUR_MS - 1;

/// Keys of every hour but those that are withheld.
#[derive(Default)]
struct Keys {
    withheld: Mutex<HashSet<u64>>,
}

#[async_trait]
impl BusKeys for Keys {
    async fn hour_key(&self, hour: u64) -> Result<BusKey> {
        if self.withheld.lock().contains(&hour) {
            return Err(ErrorKind::Unavailable.into());
        }
        let mut key = [3; 32];
        key[..8].copy_from_slice(&hour.to_be_bytes());
        Ok(BusKey::new(Zeroizing::new(key)))
    }

    async fn naming_key(&self) -> Result<BusKey> {
        Ok(BusKey::new(Zeroizing::new([4; 32])))
    }
}

/// A bus below the seal that writes down what is published.
struct Noting {
    inner: Arc<LocalBus>,
    seen: Arc<Mutex<Vec<Frame>>>,
}

#[async_trait]
impl Bus for Noting {
    async fn publish(&self, frames: Vec<Frame>) -> Result<()> {
        self.seen.lock().extend(frames.clone());
        self.inner.publish(frames).await
    }

    async fn subscribe(&self, topics: Vec<Topic>) -> Result<()> {
        self.inner.subscribe(topics).await
    }

    async fn unsubscribe(&self, topics: Vec<Topic>) -> Result<()> {
        self.inner.unsubscribe(topics).await
    }
}

/// A router with a clock of its own.
struct Router {
    clock: Arc<ManualClock>,
    bus: Arc<SealedBus>,
    /// What it published, as it is below the seal.
    seen: Arc<Mutex<Vec<Frame>>>,
    events: BusReceiver,
}

impl Router {
    async fn start(hub: &Arc<LocalHub>, region: Region, now_ms: u64, keys: Arc<Keys>, seed: u64) -> Self {
        let clock = Arc::new(ManualClock::at(now_ms));
        let entropy = Arc::new(SeededEntropy::new(seed));
        let sealer = Sealer::start(region, keys, clock.clone(), entropy).await.expect("the keys are there");
        let (sink, events) = queue(100, 1024 * 1024);
        let seen = Arc::new(Mutex::default());
        let noting = |opening| {
            let noting = Noting { inner: hub.attach(opening), seen: seen.clone() };
            std::future::ready(Ok(Arc::new(noting) as Arc<dyn Bus>))
        };
        let bus = SealedBus::new(sealer, sink, noting).await.expect("the bus is built");
        Self { clock, bus, seen, events }
    }

    fn arrived(&mut self) -> Vec<BusEvent> {
        std::iter::from_fn(|| self.events.try_recv()).collect()
    }
}

fn alice() -> Topic {
    Topic::user(APP, "alice")
}

fn frame(payload: &str) -> Frame {
    Frame { topic: alice(), payload: Bytes::copy_from_slice(payload.as_bytes()) }
}

#[tokio::test]
async fn routers_whose_clocks_are_in_neighbouring_hours_understand_each_other_and_others_do_not() {
    let hub = LocalHub::new();
    let keys = Arc::new(Keys::default());
    let sender = Router::start(&hub, Region::Singapore, LAST_MS, keys.clone(), 1).await;
    let mut receiver = Router::start(&hub, Region::Singapore, LAST_MS, keys, 2).await;
    receiver.bus.subscribe(vec![alice()]).await.unwrap();
    for (ahead_ms, arrives) in [(0, true), (1, true), (HOUR_MS, true), (HOUR_MS + 1, false)] {
        receiver.clock.set_ms(LAST_MS + ahead_ms);
        sender.bus.publish(vec![frame("hello")]).await.unwrap();
        let expected = if arrives { vec![BusEvent::Frame(frame("hello"))] } else { vec![] };
        assert_eq!(receiver.arrived(), expected, "{ahead_ms} ms ahead");
    }
    receiver.clock.set_ms(LAST_MS);
    for (ahead_ms, arrives) in [(1, true), (HOUR_MS, true), (HOUR_MS + 1, false)] {
        sender.clock.set_ms(LAST_MS + ahead_ms);
        sender.bus.publish(vec![frame("hello")]).await.unwrap();
        assert_eq!(receiver.arrived().len(), usize::from(arrives), "{ahead_ms} ms behind");
    }
}

#[tokio::test]
async fn a_frame_whose_key_is_not_there_yet_is_told_as_a_gap() {
    let hub = LocalHub::new();
    let (keys, slow_keys) = (Arc::new(Keys::default()), Arc::new(Keys::default()));
    let next_hour = LAST_MS / HOUR_MS + 1;
    slow_keys.withheld.lock().insert(next_hour);
    let sender = Router::start(&hub, Region::Singapore, LAST_MS + 1, keys, 1).await;
    let mut receiver = Router::start(&hub, Region::Singapore, LAST_MS, slow_keys.clone(), 2).await;
    receiver.bus.subscribe(vec![alice()]).await.unwrap();
    sender.bus.publish(vec![frame("too early")]).await.unwrap();
    slow_keys.withheld.lock().clear();
    let event = receiver.events.recv().await;
    assert_eq!(event, Some(BusEvent::Gap { slots: [alice().slot()].into_iter().collect() }));
    sender.bus.publish(vec![frame("in time")]).await.unwrap();
    assert_eq!(receiver.arrived(), [BusEvent::Frame(frame("in time"))]);

    slow_keys.withheld.lock().insert(next_hour + 2);
    receiver.clock.set_ms((next_hour + 2) * HOUR_MS);
    let refused = receiver.bus.publish(vec![frame("no key")]).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable, "nothing is published without a key");
}

#[tokio::test]
async fn what_was_changed_copied_or_made_elsewhere_does_not_come_out() {
    let hub = LocalHub::new();
    let keys = Arc::new(Keys::default());
    let sender = Router::start(&hub, Region::Singapore, LAST_MS, keys.clone(), 1).await;
    let mut receiver = Router::start(&hub, Region::Singapore, LAST_MS, keys.clone(), 2).await;
    let bob = Topic::user(APP, "bob");
    receiver.bus.subscribe(vec![alice(), bob.clone()]).await.unwrap();

    sender.bus.publish(vec![frame("hello")]).await.unwrap();
    sender.bus.publish(vec![Frame { topic: bob, payload: Bytes::from_static(b"hi") }]).await.unwrap();
    assert_eq!(receiver.arrived().len(), 2);
    let (to_alice, to_bob) = {
        let seen = sender.seen.lock();
        (seen[0].clone(), seen[1].clone())
    };
    assert_eq!(to_alice.topic.slot(), alice().slot(), "the slot places the topic");
    assert_eq!(to_alice.topic.parts(), None, "the name says nothing");
    assert_eq!(to_alice.payload.len(), 5 + 33);

    let mut changed = to_alice.payload.to_vec();
    *changed.last_mut().unwrap() ^= 1;
    let forged = [
        Frame { topic: to_alice.topic.clone(), payload: changed.into() },
        Frame { topic: to_alice.topic.clone(), payload: to_bob.payload },
        Frame { topic: to_alice.topic.clone(), payload: Bytes::from_static(b"plain") },
        Frame { topic: to_alice.topic.clone(), payload: Bytes::new() },
    ];
    let (nobody, _events) = queue(1, 1);
    let below = hub.attach(nobody);
    below.publish(forged.to_vec()).await.unwrap();
    let foreign = Router::start(&hub, Region::Frankfurt, LAST_MS, keys, 3).await;
    foreign.bus.publish(vec![frame("from abroad")]).await.unwrap();
    assert_eq!(receiver.arrived(), []);
    below.publish(vec![to_alice]).await.unwrap();
    assert_eq!(
        receiver.arrived(),
        [BusEvent::Frame(frame("hello"))],
        "a repeated frame is told apart by its id"
    );
}

/// A registry below the seal that writes down what is put.
struct NotingRegistry {
    inner: Arc<LocalRegistry>,
    seen: Mutex<Vec<RegistryPut>>,
}

#[async_trait]
impl Registry for NotingRegistry {
    async fn put(&self, puts: Vec<RegistryPut>, ttl_ms: u64) -> Result<()> {
        self.seen.lock().extend(puts.clone());
        self.inner.put(puts, ttl_ms).await
    }

    async fn remove(&self, fields: Vec<(Topic, Bytes)>) -> Result<()> {
        self.inner.remove(fields).await
    }

    async fn list(&self, keys: Vec<Topic>) -> Result<Vec<Vec<Entry>>> {
        self.inner.list(keys).await
    }
}

#[tokio::test]
async fn a_registry_entry_that_was_changed_or_is_too_old_is_left_out() {
    let clock = Arc::new(ManualClock::at(LAST_MS));
    let entropy = Arc::new(SeededEntropy::new(1));
    let sealer =
        Sealer::start(Region::Singapore, Arc::new(Keys::default()), clock.clone(), entropy).await.unwrap();
    let inner = LocalRegistry::new(clock.clone());
    let below = Arc::new(NotingRegistry { inner, seen: Mutex::default() });
    let registry = SealedRegistry::new(sealer, below.clone());
    let put = RegistryPut { key: alice(), field: Bytes::from("router"), value: Bytes::from("7") };
    registry.put(vec![put], HOUR_MS * 5).await.unwrap();
    let hidden = below.seen.lock()[0].clone();
    let changed = RegistryPut {
        field: Bytes::from_static(b"another field"),
        value: hidden.value.slice(..hidden.value.len() - 1),
        ..hidden
    };
    below.put(vec![changed], HOUR_MS * 5).await.unwrap();
    assert_eq!(registry.list(vec![alice()]).await.unwrap()[0].len(), 1, "the damaged one is left out");
    clock.advance_ms(HOUR_MS + 1);
    assert_eq!(registry.list(vec![alice()]).await.unwrap()[0].len(), 0, "not renewed within the hour");
}
