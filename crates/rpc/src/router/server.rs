use std::sync::Arc;

use bulkhead_api::RouterApi;
use bulkhead_proto::router::{GatewayEvents, PublishedBatch, router_server};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::attach::Attachments;
use crate::limits::ROUTER_MESSAGE_BYTES_MAX;

pub(super) type EventStream = ReceiverStream<Result<GatewayEvents, Status>>;
pub(super) type OutcomeStream = ReceiverStream<Result<PublishedBatch, Status>>;

/// The router's gRPC server: any [`RouterApi`] behind it.
pub struct RouterServer {
    pub(super) api: Arc<dyn RouterApi>,
    pub(super) attachments: Attachments,
    pub(super) stop: CancellationToken,
}

impl RouterServer {
    /// Wraps `api` for [`crate::RpcServer`]; its streams end when `stop` is cancelled.
    pub(crate) fn service(
        api: Arc<dyn RouterApi>,
        stop: CancellationToken,
    ) -> router_server::RouterServer<Self> {
        let attachments = Attachments::new(api.clone(), stop.clone());
        router_server::RouterServer::new(Self { api, attachments, stop })
            .max_decoding_message_size(ROUTER_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(ROUTER_MESSAGE_BYTES_MAX)
    }
}
