use std::sync::Arc;
use std::time::Duration;

use bulkhead_api::{DeliverySink, RouterApi};
use tokio::time::Instant;

use crate::view::{Peer, View};

/// The router that knows a gateway's sessions.
pub(crate) struct Home {
    /// Names one run of it.
    id: String,
    pub(crate) api: Arc<dyn RouterApi>,
    pub(crate) gateway: String,
    pub(crate) sink: Arc<dyn DeliverySink>,
    /// Since when another one is where the gateway's place is.
    elsewhere_since: Option<Instant>,
}

impl Home {
    pub(crate) fn new(peer: Peer, gateway: &str, sink: Arc<dyn DeliverySink>) -> Self {
        Self { id: peer.id, api: peer.api, gateway: gateway.to_owned(), sink, elsewhere_since: None }
    }

    /// Whether the gateway's place has been with another router for so long, which owns slots, so that it is there to stay.
    pub(crate) fn is_elsewhere_for(&mut self, view: &View, limit: Duration) -> bool {
        let place = view.by_preference(&self.gateway).into_iter().next();
        let is_elsewhere = place.is_some_and(|peer| peer.id != self.id && view.owns_slots(&peer.id));
        if !is_elsewhere {
            self.elsewhere_since = None;
            return false;
        }
        self.elsewhere_since.get_or_insert_with(Instant::now).elapsed() >= limit
    }
}
