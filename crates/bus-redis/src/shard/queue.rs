use std::collections::VecDeque;

use bulkhead_bus::{Frame, SlotSet};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::RedisLimits;

/// Most frames of one pipeline.
const PIPELINE_FRAMES_MAX: usize = 512;

/// A pipeline takes no further frame once it holds this many bytes of payload.
const PIPELINE_BYTES_TARGET: usize = 1024 * 1024;

/// What waits to be published on one shard.
#[derive(Default)]
pub(crate) struct PublishQueue {
    state: Mutex<State>,
    pub(crate) arrived: Notify,
}

#[derive(Default)]
struct State {
    frames: VecDeque<Frame>,
    bytes: usize,
    /// Slots of frames that were dropped or are in doubt, to be told on the gap channel.
    missed: Option<SlotSet>,
    /// Slots of the batch that was taken and is not done.
    under_way: Option<SlotSet>,
    up: bool,
}

/// What goes out in one pipeline, the gap first.
pub(crate) struct Batch {
    pub(crate) missed: Option<SlotSet>,
    pub(crate) frames: Vec<Frame>,
}

impl PublishQueue {
    /// Queues the frame, or drops it when the shard is away or the queue is full.
    pub(crate) fn push(&self, frame: Frame, limits: &RedisLimits) {
        let mut state = self.state.lock();
        let fits =
            state.frames.len() < limits.frames_max && state.bytes + frame.payload.len() <= limits.bytes_max;
        if state.up && fits {
            state.bytes += frame.payload.len();
            state.frames.push_back(frame);
        } else {
            let why = if state.up { "slow_shard" } else { "shard_away" };
            metrics::counter!("bulkhead_bus_frames_dropped_total", "why" => why).increment(1);
            state.missed.get_or_insert_with(SlotSet::none).insert(frame.topic.slot());
        }
        drop(state);
        self.arrived.notify_one();
    }

    /// The next pipeline; `None` when nothing waits.
    pub(crate) fn take(&self) -> Option<Batch> {
        let mut state = self.state.lock();
        if state.frames.is_empty() && state.missed.is_none() {
            return None;
        }
        let mut batch = Batch { missed: state.missed.take(), frames: Vec::new() };
        let mut bytes = 0;
        while batch.frames.len() < PIPELINE_FRAMES_MAX && bytes < PIPELINE_BYTES_TARGET {
            let Some(frame) = state.frames.pop_front() else { break };
            bytes += frame.payload.len();
            batch.frames.push(frame);
        }
        state.bytes -= bytes;
        let mut under_way: SlotSet = batch.frames.iter().map(|frame| frame.topic.slot()).collect();
        if let Some(missed) = &batch.missed {
            under_way.add(missed);
        }
        state.under_way = Some(under_way);
        Some(batch)
    }

    /// From now on frames are taken.
    pub(crate) fn up(&self) {
        self.state.lock().up = true;
    }

    /// The batch that was taken last has arrived.
    pub(crate) fn done(&self) {
        self.state.lock().under_way = None;
    }

    /// From now on frames are dropped, and so is what waits or is under way: when the shard is back, its subscribers read
    /// the log.
    pub(crate) fn down(&self) {
        let mut state = self.state.lock();
        state.up = false;
        state.bytes = 0;
        if let Some(in_doubt) = state.under_way.take() {
            state.missed.get_or_insert_with(SlotSet::none).add(&in_doubt);
        }
        let frames = std::mem::take(&mut state.frames);
        if !frames.is_empty() {
            metrics::counter!("bulkhead_bus_frames_dropped_total", "why" => "shard_away")
                .increment(frames.len() as u64);
            let missed = state.missed.get_or_insert_with(SlotSet::none);
            for frame in frames {
                missed.insert(frame.topic.slot());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_bus::Topic;
    use bytes::Bytes;

    use super::*;

    fn frame(slot: u16, bytes: usize) -> Frame {
        Frame { topic: Topic::opaque(slot, Bytes::from_static(b"t")), payload: vec![0; bytes].into() }
    }

    fn limits(frames_max: usize, bytes_max: usize) -> RedisLimits {
        RedisLimits { frames_max, bytes_max, ..RedisLimits::default() }
    }

    #[test]
    fn what_does_not_fit_is_told_before_what_follows() {
        let queue = PublishQueue::default();
        queue.up();
        for slot in 0..3 {
            queue.push(frame(slot, 10), &limits(2, 1000));
        }
        queue.push(frame(3, 990), &limits(10, 1000));
        let batch = queue.take().unwrap();
        assert_eq!(batch.frames, [frame(0, 10), frame(1, 10)]);
        assert_eq!(batch.missed, Some([2, 3].into_iter().collect()));
        queue.done();
        assert!(queue.take().is_none());
        queue.push(frame(4, 1000), &limits(10, 1000));
        assert_eq!(queue.take().unwrap().frames.len(), 1, "bytes that were taken are free again");
    }

    #[test]
    fn a_shard_that_goes_away_turns_what_waits_into_a_gap() {
        let queue = PublishQueue::default();
        queue.push(frame(0, 1), &limits(10, 1000));
        queue.up();
        queue.push(frame(1, 1), &limits(10, 1000));
        let under_way = queue.take().unwrap();
        assert_eq!(under_way.frames.len(), 1);
        queue.push(frame(2, 1), &limits(10, 1000));
        queue.down();
        queue.push(frame(3, 1), &limits(10, 1000));
        let batch = queue.take().unwrap();
        assert!(batch.frames.is_empty());
        assert_eq!(batch.missed.unwrap().iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
        queue.down();
        assert_eq!(queue.take().unwrap().missed.unwrap().len(), 4, "a gap that did not arrive is told again");
        queue.done();
        queue.down();
        assert!(queue.take().is_none());
    }

    #[test]
    fn a_pipeline_is_bounded_in_frames_and_bytes() {
        let queue = PublishQueue::default();
        queue.up();
        for _ in 0..PIPELINE_FRAMES_MAX + 1 {
            queue.push(frame(0, 1), &RedisLimits::default());
        }
        assert_eq!(queue.take().unwrap().frames.len(), PIPELINE_FRAMES_MAX);
        for _ in 0..8 {
            queue.push(frame(0, 256 * 1024), &RedisLimits::default());
        }
        assert_eq!(queue.take().unwrap().frames.len(), 5, "one small and four large ones");
        assert_eq!(queue.take().unwrap().frames.len(), 4);
    }
}
