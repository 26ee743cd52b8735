use std::sync::Arc;

use bulkhead_api::{AuthApi, RouterApi};
use bulkhead_model::{Clock, Entropy, Region};

use crate::GatewaySettings;

/// What the gateway needs from the rest of the region.
pub struct Dependencies {
    pub region: Region,
    pub auth: Arc<dyn AuthApi>,
    pub router: Arc<dyn RouterApi>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
}

/// One running gateway.
pub struct Gateway {
    pub(crate) region: Region,
    pub(crate) auth: Arc<dyn AuthApi>,
    pub(crate) router: Arc<dyn RouterApi>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) settings: GatewaySettings,
}

impl Gateway {
    /// A gateway that is not attached to its router yet.
    pub(crate) fn new(dependencies: Dependencies, settings: GatewaySettings) -> Arc<Self> {
        let Dependencies { region, auth, router, clock, entropy } = dependencies;
        Arc::new(Self { region, auth, router, clock, entropy, settings })
    }
}
