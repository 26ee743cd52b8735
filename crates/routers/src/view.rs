use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use bulkhead_api::RouterApi;
use bulkhead_model::range_of;

/// A router that can be called.
#[derive(Clone)]
pub(crate) struct Peer {
    /// Names one run of it.
    pub(crate) id: String,
    pub(crate) url: String,
    pub(crate) api: Arc<dyn RouterApi>,
}

/// The routers of the region and who owns which slots, as last heard.
#[derive(Default)]
pub(crate) struct View {
    pub(crate) peers: Vec<Peer>,
    /// For each range the place of its owner; one past the end for nobody.
    pub(crate) owners: Vec<u32>,
}

impl View {
    /// The owner of a slot; `None` while nobody is known to own it.
    pub(crate) fn owner(&self, slot: u16) -> Option<&Peer> {
        let owner = *self.owners.get(usize::from(range_of(slot)))?;
        self.peers.get(usize::try_from(owner).ok()?)
    }

    /// Whether the router with this id owns any.
    pub(crate) fn owns_slots(&self, id: &str) -> bool {
        let place = self.peers.iter().position(|peer| peer.id == id);
        place.is_some_and(|place| self.owners.iter().any(|owner| *owner as usize == place))
    }

    /// The routers in the order in which this gateway wants them for its home: each gateway has an order of its own, so
    /// that gateways spread over routers and most stay where they are when routers come and go.
    pub(crate) fn by_preference(&self, gateway: &str) -> Vec<Peer> {
        let weight = |peer: &Peer| {
            let mut hasher = DefaultHasher::new();
            (gateway, &peer.id).hash(&mut hasher);
            hasher.finish()
        };
        let mut peers = self.peers.clone();
        peers.sort_by_cached_key(|peer| std::cmp::Reverse(weight(peer)));
        peers
    }
}
