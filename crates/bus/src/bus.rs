use async_trait::async_trait;
use bulkhead_model::{ErrorKind, Result};
use bytes::Bytes;

use crate::{SlotSet, Topic};

/// Largest payload that an implementation has to carry, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 256 * 1024;

/// Most topics that one bus is subscribed to at a time.
pub const SUBSCRIPTIONS_MAX: usize = 2_000_000;

/// A payload for everybody who is subscribed to a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub topic: Topic,
    pub payload: Bytes,
}

/// What comes out of a bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusEvent {
    Frame(Frame),
    /// Frames of topics in these slots may be missing: look into the log. Frames that come later are live again.
    Gap {
        slots: SlotSet,
    },
}

/// Takes what comes out of a bus. Neither method may block: they run where the connection is read.
pub trait BusSink: Send + Sync + 'static {
    /// A frame of a topic that is subscribed. What does not fit is remembered as a gap.
    fn frame(&self, frame: Frame);
    /// Frames in these slots may be missing.
    fn gap(&self, slots: &SlotSet);
}

/// Live frames between routers; every attached bus is one subscriber.
///
/// Frames of one publisher to one topic arrive in the order of the calls. A frame may be lost; then a
/// [`BusEvent::Gap`] that covers its slot comes to whoever should have had it, as soon as that can be told. A frame may
/// also arrive twice, or after the gap that covers it.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Hands frames on, in order. Does not wait for their arrival, nor for a shard that is slow or away: what it cannot
    /// take in time is lost, and told to the subscribers as a gap. `TooLarge` when a payload is over
    /// [`Bus::payload_bytes_max`], `Unavailable` when a key is missing; then no frame of the call was handed on.
    async fn publish(&self, frames: Vec<Frame>) -> Result<()>;

    /// Counts one more holder of each topic. When it answers, frames published from now on arrive here; where a shard is
    /// away, they do from the next gap on. `RateLimited` over [`SUBSCRIPTIONS_MAX`]; then no topic was counted.
    /// A caller that stops waiting is counted all the same.
    async fn subscribe(&self, topics: Vec<Topic>) -> Result<()>;

    /// Counts one holder less of each topic; without a holder its frames no longer arrive once this has answered. A
    /// topic that has none is left as it is.
    async fn unsubscribe(&self, topics: Vec<Topic>) -> Result<()>;

    /// Largest payload of a frame, in bytes.
    fn payload_bytes_max(&self) -> usize {
        PAYLOAD_BYTES_MAX
    }
}

/// `TooLarge` when a payload is over the limit; for implementations.
pub fn check_payloads(frames: &[Frame], bytes_max: usize) -> Result<()> {
    if frames.iter().any(|frame| frame.payload.len() > bytes_max) {
        return Err(ErrorKind::TooLarge.with("a frame is too large for the bus"));
    }
    Ok(())
}
