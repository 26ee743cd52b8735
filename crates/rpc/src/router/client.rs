use bulkhead_proto::router::router_client;

use super::confirmations::Confirmer;
use super::events::Attached;
use super::publisher::Publisher;
use crate::Peer;
use crate::guard::RegionChannel;
use crate::limits::ROUTER_MESSAGE_BYTES_MAX;

/// The router of another process.
pub struct RouterClient {
    pub(super) grpc: router_client::RouterClient<RegionChannel>,
    pub(super) publisher: Publisher,
    pub(super) confirmer: Confirmer,
    pub(super) attachments: Attached,
}

impl RouterClient {
    /// The router at `peer`. Spawns the tasks that carry publishes and confirmations, so it must be called within a tokio runtime.
    pub fn new(peer: Peer) -> Self {
        let grpc = router_client::RouterClient::new(peer.channel)
            .max_decoding_message_size(ROUTER_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(ROUTER_MESSAGE_BYTES_MAX);
        let publisher = Publisher::start(grpc.clone());
        let confirmer = Confirmer::start(grpc.clone());
        Self { attachments: Attached::new(grpc.clone()), publisher, confirmer, grpc }
    }
}
