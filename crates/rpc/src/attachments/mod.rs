//! Attachments over gRPC: an upload is a stream up, a range a stream down; HTTP/2's windows bound what is on its way.

mod client;
mod server;

pub use client::AttachmentClient;
pub use server::AttachmentServer;

use std::time::Duration;

/// Largest message of either stream, in bytes: a piece and what is said of a file.
const MESSAGE_BYTES_MAX: usize = 512 * 1024;

/// Largest piece of a file in one message, in bytes.
const PIECE_BYTES_MAX: usize = 256 * 1024;

/// How long one piece may take: while it waits, the object store takes or gives one.
const PIECE_LIMIT: Duration = Duration::from_secs(60);

/// How long one upload may take; the gateway gives its clients less.
const UPLOAD_LIMIT: Duration = Duration::from_secs(30 * 60);
