//! The timestamps by which the database decides which of two writes of a row is the later one.
//!
//! They follow the database's own clock, not this machine's: a conditional write takes its timestamp from a database
//! node, and a plain write of this process must be neither ahead of a conditional one that comes after it nor behind
//! one that came before. What is known of that clock is a lower bound (what a node has said, plus the time since), so
//! the timestamps lag by less than a round trip and are not ahead.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Longest wait in [`Timestamps::settle`].
const SETTLE_LIMIT: Duration = Duration::from_secs(1);

pub(crate) struct Timestamps(Mutex<State>);

struct State {
    /// Microseconds that the database's clock had passed at the instant.
    clock_us: i64,
    at: Instant,
    /// The highest that was given to a plain write.
    issued_us: i64,
    /// The highest that was seen on a conditional write.
    seen_us: i64,
}

impl State {
    fn now_us(&self) -> i64 {
        self.clock_us.saturating_add(self.at.elapsed().as_micros() as i64)
    }
}

impl Timestamps {
    /// Starts from what a node said at an instant.
    pub(crate) fn new(clock_us: i64, at: Instant) -> Self {
        Self(Mutex::new(State { clock_us, at, issued_us: 0, seen_us: 0 }))
    }

    /// Follows the clock anew, for this machine's runs at another speed.
    pub(crate) fn follow(&self, clock_us: i64, at: Instant) {
        let mut state = self.0.lock();
        (state.clock_us, state.at) = (clock_us, at);
    }

    /// The first of `count` timestamps that follow each other; all are above any that was given or seen before.
    pub(crate) fn reserve(&self, count: usize) -> i64 {
        let mut state = self.0.lock();
        let first = state.now_us().max(state.issued_us + 1).max(state.seen_us + 1);
        state.issued_us = first + count as i64 - 1;
        first
    }

    /// Keeps later timestamps above that of a conditional write.
    pub(crate) fn seen(&self, timestamp_us: i64) {
        let mut state = self.0.lock();
        state.seen_us = state.seen_us.max(timestamp_us);
    }

    /// Waits until the database's clock has passed every timestamp that was given, so that the conditional write that
    /// comes next is the later one. Usually not at all; a burst of writes runs ahead by a microsecond each.
    pub(crate) async fn settle(&self) {
        let ahead_us = {
            let state = self.0.lock();
            state.issued_us - state.now_us() + 1
        };
        if let Ok(ahead_us @ 1..) = u64::try_from(ahead_us) {
            tokio::time::sleep(Duration::from_micros(ahead_us).min(SETTLE_LIMIT)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_rise_whatever_the_clock_does() {
        let now = Instant::now();
        let timestamps = Timestamps::new(1_000_000_000, now);
        let first = timestamps.reserve(10);
        assert!(first >= 1_000_000_000);
        timestamps.follow(5, now);
        assert_eq!(timestamps.reserve(1), first + 10, "a clock that steps back lowers nothing");
        timestamps.seen(2_000_000_000_000);
        assert_eq!(timestamps.reserve(1), 2_000_000_000_001, "later than a conditional write");
    }

    #[tokio::test]
    async fn a_conditional_write_waits_for_the_timestamps_of_a_burst() {
        let timestamps = Timestamps::new(1_000_000_000, Instant::now());
        let start = Instant::now();
        timestamps.reserve(20_000);
        timestamps.settle().await;
        assert!(start.elapsed() >= Duration::from_micros(19_000));
    }
}
