//! The storage port over gRPC.

mod client;
mod convert;
mod server;

pub use client::StorageClient;
pub use server::StorageServer;
