//! The gateway: the only service that accepts client traffic.
//!
//! [`rest`] answers the HTTP API, [`sockets`] carries MSYNC sessions over WebSockets; both end at the same
//! [`Gateway`], which holds the other services as traits and no key, no database and no Redis password. What a message
//! may do is never decided here: the gateway knows frames and sessions, the router knows channels.

mod rest;
mod settings;
mod sockets;

use std::sync::Arc;

use bulkhead_api::{AuthApi, RouterApi};
use bulkhead_model::{Clock, Entropy, Region};

pub use settings::GatewaySettings;

/// What the gateway needs from the rest of the region.
pub struct Dependencies {
    pub region: Region,
    pub auth: Arc<dyn AuthApi>,
    pub router: Arc<dyn RouterApi>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
}
