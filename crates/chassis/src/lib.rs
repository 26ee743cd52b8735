//! What every process needs around its services: configuration, telemetry, lifecycle, health.
//!
//! Nothing here knows a service. The binary reads a [`Config`], starts [`telemetry`], builds its services and hands
//! them the system's time ([`SystemClock`]) and randomness ([`OsEntropy`]), runs until [`lifecycle`] tells it to stop,
//! and turns what went wrong into an exit code with [`StartError`].

mod clock;
pub mod config;
mod entropy;
mod exit;
mod files;
pub mod identity;
pub mod lifecycle;
mod monitor;
mod readiness;
pub mod region_key;
mod reload;
pub mod residency;
pub mod telemetry;
pub mod tls;

pub use clock::SystemClock;
pub use config::{Config, Role};
pub use entropy::OsEntropy;
pub use exit::StartError;
pub use files::{read_private, read_private_text, write_private};
pub use monitor::Monitor;
pub use readiness::{DependencyState, Readiness, ReadinessReport};
pub use reload::{Look, Reloader, Source};
