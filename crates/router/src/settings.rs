/// Shortest lease: a renewal must have time to reach the store and come back.
pub(crate) const LEASE_MS_MIN: u64 = 250;

/// What can be set about the router. Every value must be above 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouterSettings {
    /// Lanes, each with a worker; a channel's slot decides its lane.
    pub lanes: usize,
    /// Messages that may wait for one lane; beyond it a publish is refused with `RateLimited`.
    pub queue_messages_max: usize,
    /// Messages of one batch, and so of one durable write; at most 1000.
    pub batch_messages_max: usize,
    /// Conversations (of one user with one channel) that one lane keeps in memory; as many cursors of devices.
    pub cached_conversations_max: usize,
    /// Sending devices whose recent client ids are kept in memory.
    pub cached_senders_max: usize,
    /// Members of groups and rooms that one lane keeps in memory, all channels together; a channel that is in use stays
    /// however large it is.
    pub cached_members_max: usize,
    /// For how long somebody whose connection broke stays in rooms, in milliseconds (features.md §7.2: two minutes).
    pub room_grace_ms: u64,
    /// How long moved cursors may wait in memory before they are written, in milliseconds.
    pub flush_interval_ms: u64,
    /// How long one call of the store or of auth may take, in milliseconds.
    pub call_timeout_ms: u64,
    /// How long the others wait for a router that is silent before they take its slots over, in milliseconds; at
    /// least 250.
    pub lease_ms: u64,
}

impl Default for RouterSettings {
    fn default() -> Self {
        Self {
            lanes: 4,
            queue_messages_max: 8192,
            batch_messages_max: 512,
            cached_conversations_max: 100_000,
            cached_senders_max: 16_384,
            cached_members_max: 200_000,
            room_grace_ms: 120_000,
            flush_interval_ms: 2000,
            call_timeout_ms: 10_000,
            lease_ms: 5_000,
        }
    }
}
