//! What a call may cost: times, sizes, numbers of things that wait.

use std::time::Duration;

/// How long opening a connection may take.
pub const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// How long a caller may take for its handshake.
pub const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);

/// Most handshakes at a time on one listener; further connections wait to be accepted.
pub const HANDSHAKES_MAX: usize = 256;

/// How long one unary call, the opening of a stream or the answer to one publish may take.
pub const CALL_LIMIT: Duration = Duration::from_secs(10);

/// How often an idle connection is asked whether its other end still lives.
pub const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// How long the answer to that question may take.
pub const KEEP_ALIVE_LIMIT: Duration = Duration::from_secs(5);

/// How long a server that stops waits for the calls it has.
pub const STOP_LIMIT: Duration = Duration::from_secs(5);

/// Largest message of the auth service, in bytes: a page of 100 users or apps is far below.
pub const AUTH_MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Largest message of the router, in bytes.
pub const ROUTER_MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Largest message of the storage service, in bytes: a full write of small rows, or a full scan of large ones.
pub const STORAGE_MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Most calls and streams at a time on one connection.
pub const CONNECTION_STREAMS_MAX: u32 = 10_000;

/// Bytes that may be on their way on one stream; a connection may have four times as many.
pub const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;

/// Most publishes of one client that wait for their answer; the next one is refused with `RateLimited`.
pub const PENDING_PUBLISHES_MAX: usize = 16_384;

/// Most publishes, outcomes or events in one message of a stream.
pub const BATCH_ENTRIES_MAX: usize = 1024;

/// A batch takes no further entry once it holds this many bytes; a single entry may be larger.
pub const BATCH_BYTES_TARGET: usize = 1024 * 1024;

/// Bytes of events that may wait for one gateway. A gateway that is further behind is detached; its clients log in
/// again and pull what they lack.
pub const GATEWAY_WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;
