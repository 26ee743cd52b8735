/// How the service is set up.
#[derive(Clone, Debug)]
pub struct AuthSettings {
    pub passwords: PasswordSettings,
    /// How long an app, a user or a judged token may be answered from memory, in milliseconds. What another instance of this
    /// service changes is forgotten within a fifth of a second all the same.
    pub cache_ttl_ms: u64,
    /// Most apps in memory.
    pub apps_cached_max: u64,
    /// Most users in memory.
    pub users_cached_max: u64,
    /// Most judged tokens in memory.
    pub tokens_cached_max: u64,
}

impl Default for AuthSettings {
    fn default() -> Self {
        Self {
            passwords: PasswordSettings::default(),
            cache_ttl_ms: 5_000,
            apps_cached_max: 10_000,
            users_cached_max: 100_000,
            tokens_cached_max: 100_000,
        }
    }
}

/// What an argon2id hash costs, and how many may be computed at once.
#[derive(Clone, Debug)]
pub struct PasswordSettings {
    /// Memory of one hash, in KiB; at least 8.
    pub memory_kib: u32,
    /// Passes over the memory; at least 1.
    pub iterations: u32,
    /// Hashes that are computed at the same time; each takes a core and its memory.
    pub concurrent_max: usize,
    /// Calls that may be waiting or computing; one more is answered `Unavailable`.
    pub waiting_max: usize,
    /// Longest wait for a turn, in milliseconds; then `Timeout`.
    pub wait_ms_max: u64,
}

impl Default for PasswordSettings {
    /// The parameters that OWASP recommends first for argon2id: 19 MiB, two passes, one lane.
    fn default() -> Self {
        Self { memory_kib: 19 * 1024, iterations: 2, concurrent_max: 2, waiting_max: 256, wait_ms_max: 5_000 }
    }
}

impl PasswordSettings {
    /// Hashes that take microseconds and protect nothing: for tests and throw-away regions.
    pub fn cheap() -> Self {
        Self { memory_kib: 64, iterations: 1, ..Self::default() }
    }
}
