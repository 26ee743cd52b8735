use metrics::{Counter, Gauge};

/// What the sockets count. Looked up once, not per frame.
pub(crate) struct Meters {
    pub(crate) sockets: Gauge,
    pub(crate) frames_received: Counter,
    pub(crate) frames_sent: Counter,
}

impl Meters {
    pub(crate) fn new() -> Self {
        Self {
            sockets: metrics::gauge!("bulkhead_gateway_sockets"),
            frames_received: metrics::counter!("bulkhead_gateway_frames_received_total"),
            frames_sent: metrics::counter!("bulkhead_gateway_frames_sent_total"),
        }
    }
}

/// Counts a socket as long as it lives.
pub(super) struct OpenSocket(Gauge);

impl OpenSocket {
    pub(super) fn new(meters: &Meters) -> Self {
        meters.sockets.increment(1.0);
        Self(meters.sockets.clone())
    }
}

impl Drop for OpenSocket {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}
