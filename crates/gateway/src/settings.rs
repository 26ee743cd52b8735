use std::collections::BTreeMap;

use bulkhead_model::Region;

/// What an operator sets for a gateway.
#[derive(Clone, Debug)]
pub struct GatewaySettings {
    /// The address that clients use for REST, without a trailing slash; it opens every `uri` in an answer.
    pub public_url: String,
    /// The public addresses of the other regions, for the answer 421.
    pub homes: BTreeMap<Region, String>,
    /// A socket that sends nothing for this long is closed, in milliseconds (msync.md §8: at least 90 s).
    pub idle_limit_ms: u64,
    /// A socket that has not logged in within this time is closed, in milliseconds.
    pub login_limit_ms: u64,
    /// How long sockets stay open while there is no router, in milliseconds. More than the lease of a router that died and
    /// the start of another.
    pub router_wait_ms: u64,
    /// Most open sockets and connections.
    pub connections_max: usize,
    /// Largest REST body, in bytes.
    pub body_bytes_max: usize,
    /// A REST call that takes longer is answered 408, in milliseconds.
    pub request_limit_ms: u64,
    /// Largest attachment, in bytes (features.md §7.2).
    pub attachment_bytes_max: u64,
    /// An upload or download of an attachment that takes longer is ended, in milliseconds (msync.md §7: SDKs wait 300 s).
    pub transfer_limit_ms: u64,
    /// REST calls a second for one app, where the app has no rate of its own (features.md §7.3).
    pub app_rate_per_s: u32,
    /// REST calls a second from one client address.
    pub address_rate_per_s: u32,
    /// Frames a second from one socket; above it the socket is closed.
    pub frame_rate_per_s: u32,
    /// Bytes that may wait for one slow socket before its queues turn to notices.
    pub outbox_bytes_max: usize,
}

impl GatewaySettings {
    /// The documented defaults for a gateway that clients reach at `public_url`.
    pub fn new(public_url: impl Into<String>) -> Self {
        Self {
            public_url: public_url.into(),
            homes: BTreeMap::new(),
            idle_limit_ms: 120_000,
            login_limit_ms: 10_000,
            router_wait_ms: 15_000,
            connections_max: 100_000,
            body_bytes_max: 1024 * 1024,
            request_limit_ms: 14_000,
            attachment_bytes_max: 10 * 1024 * 1024,
            transfer_limit_ms: 300_000,
            app_rate_per_s: 100,
            address_rate_per_s: 200,
            frame_rate_per_s: 1000,
            outbox_bytes_max: 256 * 1024,
        }
    }
}
