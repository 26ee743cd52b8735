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
    /// How long moved cursors may wait in memory before they are written, in milliseconds.
    pub flush_interval_ms: u64,
    /// How long one call of the store or of auth may take, in milliseconds.
    pub call_timeout_ms: u64,
}

impl Default for RouterSettings {
    fn default() -> Self {
        Self {
            lanes: 4,
            queue_messages_max: 8192,
            batch_messages_max: 512,
            cached_conversations_max: 100_000,
            cached_senders_max: 16_384,
            flush_interval_ms: 2000,
            call_timeout_ms: 10_000,
        }
    }
}
