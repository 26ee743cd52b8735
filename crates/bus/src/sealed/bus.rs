use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bulkhead_model::Result;
use parking_lot::{Mutex, RwLock};

use super::sealer::{SEALED_EXTRA_BYTES, Sealer, Unopened, Use};
use crate::{Bus, BusSink, Frame, SUBSCRIPTIONS_MAX, SlotSet, Subscriptions, Topic, check_payloads};

/// How long frames whose key had to be fetched are gathered before their gap is told.
const FETCH_PAUSE: Duration = Duration::from_millis(200);

/// A bus that seals payloads and hides the names of topics on another bus.
///
/// A frame that does not open is dropped and counted. When only the key of its hour is missing, a gap is told and the
/// key is fetched.
pub struct SealedBus {
    sealer: Arc<Sealer>,
    inner: Arc<dyn Bus>,
    names: Arc<Names>,
}

impl SealedBus {
    /// Wraps the bus that `build` makes; `build` gets the sink that opens frames on their way to `sink`.
    pub async fn new<F>(
        sealer: Arc<Sealer>,
        sink: Arc<dyn BusSink>,
        build: impl FnOnce(Arc<dyn BusSink>) -> F,
    ) -> Result<Arc<Self>>
    where
        F: Future<Output = Result<Arc<dyn Bus>>>,
    {
        let names = Arc::new(Names {
            topics: RwLock::default(),
            holders: Mutex::new(Subscriptions::new(SUBSCRIPTIONS_MAX)),
        });
        let opening = Opening {
            sealer: sealer.clone(),
            names: names.clone(),
            missed: Arc::new(Missed { sink, slots: Mutex::new(SlotSet::none()) }),
        };
        let inner = build(Arc::new(opening)).await?;
        Ok(Arc::new(Self { sealer, inner, names }))
    }
}

/// Which topics the hidden names stand for, as long as they are subscribed.
struct Names {
    topics: RwLock<HashMap<Topic, Topic>>,
    holders: Mutex<Subscriptions>,
}

impl Names {
    fn add(&self, sealer: &Sealer, topics: &[Topic]) -> Result<Vec<Topic>> {
        let mut holders = self.holders.lock();
        let first = holders.add(topics.to_vec())?;
        let mut names = self.topics.write();
        for topic in first {
            names.insert(sealer.hide(&topic), topic);
        }
        Ok(topics.iter().map(|topic| sealer.hide(topic)).collect())
    }

    fn remove(&self, sealer: &Sealer, topics: Vec<Topic>) -> Vec<Topic> {
        let hidden = topics.iter().map(|topic| sealer.hide(topic)).collect();
        let mut holders = self.holders.lock();
        let last = holders.remove(topics);
        let mut names = self.topics.write();
        for topic in last {
            names.remove(&sealer.hide(&topic));
        }
        hidden
    }
}

#[async_trait]
impl Bus for SealedBus {
    async fn publish(&self, frames: Vec<Frame>) -> Result<()> {
        check_payloads(&frames, self.payload_bytes_max())?;
        let key = self.sealer.sealing_key().await?;
        let nonces = self.sealer.nonces(frames.len());
        let sealed = frames
            .iter()
            .zip(nonces)
            .map(|(frame, nonce)| Frame {
                topic: self.sealer.hide(&frame.topic),
                payload: self.sealer.seal(&key, nonce, &frame.topic, Use::Frame, &frame.payload),
            })
            .collect();
        self.inner.publish(sealed).await
    }

    async fn subscribe(&self, topics: Vec<Topic>) -> Result<()> {
        let hidden = self.names.add(&self.sealer, &topics)?;
        let subscribed = self.inner.subscribe(hidden).await;
        if subscribed.is_err() {
            self.names.remove(&self.sealer, topics);
        }
        subscribed
    }

    async fn unsubscribe(&self, topics: Vec<Topic>) -> Result<()> {
        let hidden = self.names.remove(&self.sealer, topics);
        self.inner.unsubscribe(hidden).await
    }

    fn payload_bytes_max(&self) -> usize {
        self.inner.payload_bytes_max() - SEALED_EXTRA_BYTES
    }
}

/// Opens frames on their way out.
struct Opening {
    sealer: Arc<Sealer>,
    names: Arc<Names>,
    missed: Arc<Missed>,
}

struct Missed {
    sink: Arc<dyn BusSink>,
    /// Slots of frames whose key is being fetched; empty when none is.
    slots: Mutex<SlotSet>,
}

impl BusSink for Opening {
    fn frame(&self, frame: Frame) {
        // Its last holder may just have gone.
        let Some(topic) = self.names.topics.read().get(&frame.topic).cloned() else { return };
        let why = match self.sealer.open(&topic, Use::Frame, &frame.payload) {
            Ok(payload) => return self.missed.sink.frame(Frame { topic, payload }),
            Err(Unopened::Hour) => "hour",
            Err(Unopened::Seal) => "seal",
            Err(Unopened::KeyMissing) => {
                self.fetch_key(topic.slot());
                "key_missing"
            }
        };
        metrics::counter!("bulkhead_bus_frames_unopened_total", "why" => why).increment(1);
    }

    fn gap(&self, slots: &SlotSet) {
        self.missed.sink.gap(slots);
    }
}

impl Opening {
    /// One fetch at a time, with a pause, so that a key that does not come is not asked for with every frame.
    fn fetch_key(&self, slot: u16) {
        let mut slots = self.missed.slots.lock();
        let is_first = slots.is_empty();
        slots.insert(slot);
        if !is_first {
            return;
        }
        let (sealer, missed) = (self.sealer.clone(), self.missed.clone());
        tokio::spawn(async move {
            sealer.fetch_around().await;
            tokio::time::sleep(FETCH_PAUSE).await;
            let slots = std::mem::replace(&mut *missed.slots.lock(), SlotSet::none());
            missed.sink.gap(&slots);
        });
    }
}
