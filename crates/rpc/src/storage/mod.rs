//! The storage port over gRPC.

mod client;
mod convert;
mod server;

pub use client::StorageClient;
pub use server::StorageServer;

/// Stands for a write without a deadline on the wire.
const NO_DEADLINE: u64 = 0;
