//! Which gateways have members of a group or room among their sessions.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::channels::key::ChannelRef;
use crate::sessions::Gateway;
use crate::topics::{Holding, Topics};

const PARTS: usize = 64;

type Part = HashMap<ChannelRef, Channel>;

/// A channel that somebody is interested in.
struct Channel {
    gateways: Vec<Interested>,
    /// The bus brings what happens in it.
    _topic: Holding,
}

/// Counts, for each channel, the users of each gateway.
pub(crate) struct Interests {
    hasher: RandomState,
    parts: Vec<Mutex<Part>>,
    topics: Topics,
}

struct Interested {
    gateway: Arc<Gateway>,
    users: usize,
}

impl Interests {
    pub(crate) fn new(topics: Topics) -> Self {
        Self { hasher: RandomState::new(), parts: (0..PARTS).map(|_| Mutex::default()).collect(), topics }
    }

    /// One more member at a gateway.
    pub(crate) fn add(&self, channel: &ChannelRef, gateway: &Arc<Gateway>) {
        let mut part = self.part(channel).lock();
        let fresh = || Channel { gateways: Vec::new(), _topic: self.topics.hold_channel(channel) };
        let interested = &mut part.entry(channel.clone()).or_insert_with(fresh).gateways;
        match interested.iter_mut().find(|known| Arc::ptr_eq(&known.gateway, gateway)) {
            Some(known) => known.users += 1,
            None => interested.push(Interested { gateway: gateway.clone(), users: 1 }),
        }
    }

    /// One less.
    pub(crate) fn remove(&self, channel: &ChannelRef, gateway: &Arc<Gateway>) {
        let mut part = self.part(channel).lock();
        let Some(interested) = part.get_mut(channel).map(|channel| &mut channel.gateways) else { return };
        if let Some(at) = interested.iter().position(|known| Arc::ptr_eq(&known.gateway, gateway)) {
            interested[at].users -= 1;
            if interested[at].users == 0 {
                interested.swap_remove(at);
            }
        }
        if interested.is_empty() {
            part.remove(channel);
        }
    }

    pub(crate) fn gateways_of(&self, channel: &ChannelRef) -> Vec<Arc<Gateway>> {
        let part = self.part(channel).lock();
        let interested = part.get(channel).map(|channel| channel.gateways.as_slice()).unwrap_or_default();
        interested.iter().map(|known| known.gateway.clone()).collect()
    }

    fn part(&self, channel: &ChannelRef) -> &Mutex<Part> {
        &self.parts[self.hasher.hash_one(channel) as usize % PARTS]
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_api::DeliverySink;
    use bulkhead_model::AppUuid;
    use bulkhead_proto::router::GatewayEvent;

    use super::*;

    struct Nowhere;

    impl DeliverySink for Nowhere {
        fn deliver(&self, _: Vec<GatewayEvent>) {}
        fn detached(&self) {}
    }

    #[test]
    fn a_gateway_is_interested_as_long_as_one_of_its_users_is_a_member() {
        let interests = Interests::new(Topics::none());
        let gateways = [(), ()].map(|()| Arc::new(Gateway { sink: Arc::new(Nowhere) }));
        let group = ChannelRef::new(AppUuid([1; 16]), b"g:1");
        let count = || interests.gateways_of(&group).len();
        interests.add(&group, &gateways[0]);
        interests.add(&group, &gateways[0]);
        interests.add(&group, &gateways[1]);
        assert_eq!(count(), 2);
        interests.remove(&group, &gateways[0]);
        assert_eq!(count(), 2);
        interests.remove(&group, &gateways[0]);
        interests.remove(&group, &gateways[1]);
        assert_eq!(count(), 0);
        assert!(interests.parts.iter().all(|part| part.lock().is_empty()));
    }
}
