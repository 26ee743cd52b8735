//! Limits that more than one crate enforces. A limit that only one crate knows stands in that crate.

/// Largest body and extension of one message, in bytes (features.md §7.2); one byte more is refused with 14007 over
/// REST and "Sorry, data is too large" on the socket.
pub const MESSAGE_BYTES_MAX: usize = 5 * 1024;

/// Largest frame that a client may send, in bytes: a message at its limit plus addressing.
pub const FRAME_BYTES_MAX: usize = 64 * 1024;

/// Most messages of one pull page; the web SDK remembers its last 100 ids, so a page stays well below.
pub const PULL_PAGE_MAX: usize = 50;

/// Most messages of one history page (features.md §7.2).
pub const HISTORY_PAGE_MAX: usize = 50;

/// Most targets of one REST send to users (features.md §3.4).
pub const SEND_TARGETS_MAX: usize = 600;

/// Most sessions of one user on one platform; the newest login forces out the oldest (features.md §11.4).
pub const DEVICES_PER_PLATFORM_MAX: usize = 4;

/// How long a message can be recalled by its sender, in milliseconds (features.md §7.2).
pub const RECALL_WINDOW_MS: u64 = 2 * 60 * 1000;

/// How often one message can be edited (features.md §7.2).
pub const EDITS_MAX: u32 = 10;

/// Longest life of an AccessToken2, in seconds (features.md §3.1).
pub const ACCESS_TOKEN_LIFE_S_MAX: u32 = 24 * 60 * 60;

/// Default life of an opaque token, in seconds: 60 days (features.md §3.1).
pub const OPAQUE_TOKEN_LIFE_S_DEFAULT: u64 = 60 * 24 * 60 * 60;

/// How long a client id is remembered, so that a resend is acknowledged with its first server id, in milliseconds.
pub const RESEND_WINDOW_MS: u64 = 3 * 24 * 60 * 60 * 1000;

/// How many pushes may be unproven for one session before it is told to pull; the web SDK drops a message only while
/// its id is among the last 100.
pub const UNPROVEN_PUSHES_MAX: usize = 90;
