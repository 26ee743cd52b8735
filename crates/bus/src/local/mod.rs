//! The bus and the registry within one process.

mod hub;
mod registry;

pub use hub::{LocalBus, LocalHub};
pub use registry::LocalRegistry;
