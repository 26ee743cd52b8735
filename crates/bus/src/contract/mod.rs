//! The contracts that every implementation passes.
//!
//! An implementation's test calls [`run_bus`] with a function that makes a [`BusFixture`] and [`run_registry`] with one
//! that makes a [`RegistryFixture`]. A check that fails panics with the promise that was broken. Run them on a runtime
//! with several threads.

mod bus;
mod registry;

use std::any::Any;
use std::sync::Arc;

pub use bus::run_bus;
use futures_util::future::BoxFuture;
pub use registry::run_registry;

use crate::{Bus, BusSink, Registry};

/// Makes a further bus of a fixture, whose events go to the sink.
pub type Attach = Box<dyn Fn(Arc<dyn BusSink>) -> BoxFuture<'static, Arc<dyn Bus>> + Send + Sync>;

/// Lets a registry's clock move on by milliseconds: moves a manual one, or waits.
pub type PassMs = Box<dyn Fn(u64) -> BoxFuture<'static, ()> + Send + Sync>;

/// Buses that see each other.
pub struct BusFixture {
    pub attach: Attach,
    /// Dropped last, for servers and folders that have to outlive the buses.
    pub keep: Box<dyn Any + Send + Sync>,
}

/// A registry and a way to let its time pass.
pub struct RegistryFixture {
    pub registry: Arc<dyn Registry>,
    pub pass_ms: PassMs,
    /// Dropped last.
    pub keep: Box<dyn Any + Send + Sync>,
}
