//! What the senders and receivers of a run count together.

use std::time::Instant;

use hdrhistogram::Histogram;

use super::receiver::Arrival;
use super::report::histogram;

/// Shared by all tasks of the generator's one thread.
pub(super) struct Stats {
    pub(super) began: Instant,
    /// Nanoseconds since the beginning between which messages are measured.
    measured_ns: std::ops::Range<u64>,
    pub(super) sent: u64,
    pub(super) acknowledged: u64,
    pub(super) refused: u64,
    pub(super) delivered: u64,
    /// Deliveries that came a second time or behind a later one.
    pub(super) repeated: u64,
    pub(super) notices: u64,
    /// From the intended send to the receipt at the receiver, in microseconds.
    pub(super) receipt: Histogram<u64>,
    /// From the intended send to the acknowledgement, in microseconds.
    pub(super) ack: Histogram<u64>,
}

impl Stats {
    pub(super) fn new(began: Instant) -> Self {
        Self {
            began,
            measured_ns: u64::MAX..u64::MAX,
            sent: 0,
            acknowledged: 0,
            refused: 0,
            delivered: 0,
            repeated: 0,
            notices: 0,
            receipt: histogram(),
            ack: histogram(),
        }
    }

    pub(super) fn ns(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.began).as_nanos()).unwrap_or(u64::MAX)
    }

    pub(super) fn start_measuring(&mut self) {
        self.measured_ns.start = self.ns(Instant::now());
    }

    pub(super) fn stop_measuring(&mut self) {
        self.measured_ns.end = self.ns(Instant::now());
    }

    pub(super) fn record_ack(&mut self, intended_ns: u64, now_ns: u64) {
        self.acknowledged += 1;
        if self.measured_ns.contains(&intended_ns) {
            self.ack.saturating_record(now_ns.saturating_sub(intended_ns) / 1000);
        }
    }

    /// What a receiver got.
    pub(super) fn take(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Message(stamp) => self.record_receipt(stamp.intended_ns, self.ns(Instant::now())),
            Arrival::Repeated => self.repeated += 1,
            Arrival::Notice => self.notices += 1,
        }
    }

    fn record_receipt(&mut self, intended_ns: u64, now_ns: u64) {
        self.delivered += 1;
        if self.measured_ns.contains(&intended_ns) {
            self.receipt.saturating_record(now_ns.saturating_sub(intended_ns) / 1000);
        }
    }
}
