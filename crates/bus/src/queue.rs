use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{BusEvent, BusSink, Frame, SlotSet};

/// A queue of at most `frames_max` frames and about `bytes_max` bytes of payload between a bus and its one reader.
///
/// A reader that falls behind loses what comes while the queue is full and until half of it is read, and then gets one
/// gap for all of it: under a flood it so gets one gap for each half queue instead of one for each frame.
pub fn queue(frames_max: usize, bytes_max: usize) -> (Arc<BusSender>, BusReceiver) {
    let shared = Arc::new(Shared {
        state: Mutex::new(State {
            events: VecDeque::new(),
            bytes: 0,
            missed: SlotSet::none(),
            sender_gone: false,
            receiver_gone: false,
        }),
        arrived: Notify::new(),
        frames_max: frames_max.max(1),
        bytes_max,
    });
    (Arc::new(BusSender { shared: shared.clone() }), BusReceiver { shared })
}

/// The end of the queue that a bus fills.
pub struct BusSender {
    shared: Arc<Shared>,
}

/// The end of the queue that the router reads.
pub struct BusReceiver {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    arrived: Notify,
    frames_max: usize,
    bytes_max: usize,
}

struct State {
    events: VecDeque<BusEvent>,
    /// Payload bytes of the frames in `events`.
    bytes: usize,
    /// Slots of the frames and gaps that did not fit; told when the reader has caught up.
    missed: SlotSet,
    sender_gone: bool,
    receiver_gone: bool,
}

impl BusSink for BusSender {
    fn frame(&self, frame: Frame) {
        let mut state = self.shared.state.lock();
        if state.receiver_gone {
            return;
        }
        if self.shared.takes(&mut state, frame.payload.len()) {
            state.bytes += frame.payload.len();
            state.events.push_back(BusEvent::Frame(frame));
        } else {
            state.missed.insert(frame.topic.slot());
            metrics::counter!("bulkhead_bus_frames_dropped_total", "why" => "slow_receiver").increment(1);
        }
        drop(state);
        self.shared.arrived.notify_one();
    }

    fn gap(&self, slots: &SlotSet) {
        let mut state = self.shared.state.lock();
        if state.receiver_gone || slots.is_empty() {
            return;
        }
        let room = state.missed.is_empty() && state.events.len() < self.shared.frames_max;
        match state.events.back_mut() {
            Some(BusEvent::Gap { slots: last }) if room => last.add(slots),
            _ if room => state.events.push_back(BusEvent::Gap { slots: *slots }),
            _ => state.missed.add(slots),
        }
        drop(state);
        self.shared.arrived.notify_one();
    }
}

impl Shared {
    /// Whether a frame may be queued now; a gap that waited is queued before it.
    fn takes(&self, state: &mut State, payload_bytes: usize) -> bool {
        if !state.missed.is_empty() {
            if state.events.len() > self.frames_max / 2 || state.bytes > self.bytes_max / 2 {
                return false;
            }
            let slots = std::mem::replace(&mut state.missed, SlotSet::none());
            state.events.push_back(BusEvent::Gap { slots });
        }
        state.events.len() < self.frames_max
            && (state.bytes == 0 || state.bytes + payload_bytes <= self.bytes_max)
    }
}

impl BusReceiver {
    /// The next event; `None` when the bus is gone and everything was read.
    pub async fn recv(&mut self) -> Option<BusEvent> {
        let mut events = Vec::with_capacity(1);
        self.recv_many(&mut events, 1).await;
        events.pop()
    }

    /// Appends what is there, at least one event and at most `events_max`; answers how many. 0 when the bus is gone and
    /// everything was read. Nothing is lost when the future is dropped.
    pub async fn recv_many(&mut self, events: &mut Vec<BusEvent>, events_max: usize) -> usize {
        loop {
            let arrived = self.shared.arrived.notified();
            let (taken, ended) = self.take(events, events_max.max(1));
            if taken > 0 || ended {
                return taken;
            }
            arrived.await;
        }
    }

    /// The next event if there is one now.
    pub fn try_recv(&mut self) -> Option<BusEvent> {
        let mut events = Vec::with_capacity(1);
        self.take(&mut events, 1);
        events.pop()
    }

    fn take(&self, events: &mut Vec<BusEvent>, events_max: usize) -> (usize, bool) {
        let mut state = self.shared.state.lock();
        let mut taken = state.events.len().min(events_max);
        for event in state.events.drain(..taken) {
            events.push(event);
        }
        let read: usize = events[events.len() - taken..]
            .iter()
            .map(|event| match event {
                BusEvent::Frame(frame) => frame.payload.len(),
                BusEvent::Gap { .. } => 0,
            })
            .sum();
        state.bytes -= read;
        if state.events.is_empty() && taken < events_max && !state.missed.is_empty() {
            let slots = std::mem::replace(&mut state.missed, SlotSet::none());
            events.push(BusEvent::Gap { slots });
            taken += 1;
        }
        (taken, state.sender_gone)
    }
}

impl Drop for BusSender {
    fn drop(&mut self) {
        self.shared.state.lock().sender_gone = true;
        self.shared.arrived.notify_one();
    }
}

impl Drop for BusReceiver {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.receiver_gone = true;
        state.events.clear();
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_model::AppUuid;
    use bytes::Bytes;

    use super::*;
    use crate::Topic;

    fn frame(name: &str, bytes: usize) -> Frame {
        Frame { topic: Topic::user(AppUuid([1; 16]), name), payload: Bytes::from(vec![0; bytes]) }
    }

    fn slots(names: &[&str]) -> SlotSet {
        names.iter().map(|name| frame(name, 0).topic.slot()).collect()
    }

    fn drain(receiver: &mut BusReceiver) -> Vec<BusEvent> {
        std::iter::from_fn(|| receiver.try_recv()).collect()
    }

    #[test]
    fn a_full_queue_drops_until_half_of_it_is_read_and_then_tells_one_gap() {
        let (sender, mut receiver) = queue(4, 1000);
        for name in ["a", "b", "c", "d", "lost", "lost2"] {
            sender.frame(frame(name, 1));
        }
        assert_eq!(receiver.try_recv(), Some(BusEvent::Frame(frame("a", 1))));
        sender.frame(frame("lost3", 1));
        assert_eq!(receiver.try_recv(), Some(BusEvent::Frame(frame("b", 1))));
        sender.frame(frame("e", 1));
        let events = drain(&mut receiver);
        let gap = BusEvent::Gap { slots: slots(&["lost", "lost2", "lost3"]) };
        assert_eq!(
            events,
            [
                BusEvent::Frame(frame("c", 1)),
                BusEvent::Frame(frame("d", 1)),
                gap,
                BusEvent::Frame(frame("e", 1))
            ]
        );
    }

    #[test]
    fn a_gap_is_told_when_the_queue_is_empty_even_if_no_frame_follows() {
        let (sender, mut receiver) = queue(1, 1000);
        sender.frame(frame("a", 1));
        sender.frame(frame("lost", 1));
        sender.gap(&SlotSet::none());
        assert_eq!(
            drain(&mut receiver),
            [BusEvent::Frame(frame("a", 1)), BusEvent::Gap { slots: slots(&["lost"]) }]
        );
    }

    #[test]
    fn bytes_are_bounded_too_but_one_frame_always_fits() {
        let (sender, mut receiver) = queue(10, 100);
        sender.frame(frame("large", 500));
        sender.frame(frame("lost", 1));
        assert_eq!(
            drain(&mut receiver),
            [BusEvent::Frame(frame("large", 500)), BusEvent::Gap { slots: slots(&["lost"]) }]
        );
        sender.frame(frame("a", 60));
        sender.frame(frame("b", 40));
        sender.frame(frame("lost", 1));
        assert_eq!(drain(&mut receiver).len(), 3);
    }

    #[tokio::test]
    async fn a_reader_is_woken_and_learns_the_end() {
        let (sender, mut receiver) = queue(10, 100);
        let reader = tokio::spawn(async move {
            let mut events = Vec::new();
            while receiver.recv_many(&mut events, 8).await > 0 {}
            events
        });
        sender.frame(frame("a", 1));
        tokio::task::yield_now().await;
        sender.gap(&SlotSet::all());
        drop(sender);
        let events = reader.await.unwrap();
        assert_eq!(events, [BusEvent::Frame(frame("a", 1)), BusEvent::Gap { slots: SlotSet::all() }]);
    }
}
