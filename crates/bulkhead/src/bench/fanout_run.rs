//! Messages to many that are on their way: who has them, and how long it took.

use std::collections::VecDeque;
use std::time::Instant;

use hdrhistogram::Histogram;
use tokio::sync::Notify;

use super::receiver::Arrival;
use super::report::histogram;

/// Shared by the sender and all receivers, which run on one thread.
pub(super) struct FanoutRun {
    began: Instant,
    members: u32,
    /// How many have not got each message on its way, the oldest first.
    missing: VecDeque<u32>,
    /// The sequence of the oldest.
    oldest: u32,
    /// Messages that somebody lacks.
    pub(super) on_the_way: u32,
    pub(super) measuring: bool,
    pub(super) delivered: u64,
    pub(super) repeated: u64,
    pub(super) notices: u64,
    /// From the send to the receipt by each member, in microseconds.
    pub(super) receipt: Histogram<u64>,
    /// From the send to the receipt by the last member, in microseconds.
    pub(super) last_receipt: Histogram<u64>,
}

impl FanoutRun {
    pub(super) fn new(members: u32) -> Self {
        Self {
            began: Instant::now(),
            members,
            missing: VecDeque::new(),
            oldest: 1,
            on_the_way: 0,
            measuring: false,
            delivered: 0,
            repeated: 0,
            notices: 0,
            receipt: histogram(),
            last_receipt: histogram(),
        }
    }

    /// Nanoseconds since the run began.
    pub(super) fn now_ns(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// A message goes out; answers its sequence.
    pub(super) fn send(&mut self) -> u32 {
        self.missing.push_back(self.members);
        self.on_the_way += 1;
        self.oldest + self.missing.len() as u32 - 1
    }

    /// What one member got. Wakes the sender when a message has reached everybody.
    pub(super) fn take(&mut self, arrival: Arrival, arrived: &Notify) {
        let stamp = match arrival {
            Arrival::Message(stamp) => stamp,
            Arrival::Repeated => return self.repeated += 1,
            Arrival::Notice => return self.notices += 1,
        };
        self.delivered += 1;
        let us = self.now_ns().saturating_sub(stamp.intended_ns) / 1000;
        if self.measuring {
            self.receipt.saturating_record(us);
        }
        let place = stamp.sequence.checked_sub(self.oldest).map(|place| place as usize);
        let Some(missing) = place.and_then(|place| self.missing.get_mut(place)) else { return };
        *missing = missing.saturating_sub(1);
        if *missing > 0 {
            return;
        }
        if self.measuring {
            self.last_receipt.saturating_record(us);
        }
        self.on_the_way -= 1;
        while self.missing.front() == Some(&0) {
            self.missing.pop_front();
            self.oldest += 1;
        }
        arrived.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::super::template::Stamp;
    use super::*;

    #[test]
    fn a_message_is_on_its_way_until_everybody_has_it() {
        let arrived = Notify::new();
        let mut run = FanoutRun::new(2);
        assert_eq!((run.send(), run.send()), (1, 2));
        let mut take = |sequence| {
            run.take(Arrival::Message(Stamp { sequence, intended_ns: 0 }), &arrived);
            run.on_the_way
        };
        assert_eq!([take(2), take(1), take(2), take(1)], [2, 2, 1, 0]);
        assert_eq!((run.send(), run.delivered), (3, 4));
    }
}
