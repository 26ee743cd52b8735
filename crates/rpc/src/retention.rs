//! What storage tells of what it keeps, over gRPC.

use std::sync::Arc;

use async_trait::async_trait;
use bulkhead_api::RetentionApi;
use bulkhead_model::Result;
use bulkhead_proto::storage::{RetentionReport, RetentionRequest, retention_client, retention_server};
use tonic::{Request, Response, Status};

use crate::Peer;
use crate::guard::RegionChannel;
use crate::limits::CALL_LIMIT;
use crate::status_from_error;
use crate::unary::answer;

/// The gRPC server of the reports: any [`RetentionApi`] behind it.
pub struct RetentionServer {
    api: Arc<dyn RetentionApi>,
}

impl RetentionServer {
    /// Wraps `api` for [`crate::RpcServer`].
    pub(crate) fn service(api: Arc<dyn RetentionApi>) -> retention_server::RetentionServer<Self> {
        retention_server::RetentionServer::new(Self { api })
    }
}

#[async_trait]
impl retention_server::Retention for RetentionServer {
    async fn report(&self, request: Request<RetentionRequest>) -> Result<Response<RetentionReport>, Status> {
        let report = self.api.report(request.into_inner()).await;
        report.map(Response::new).map_err(|error| status_from_error(&error))
    }
}

/// The storage service of another process.
#[derive(Clone, Debug)]
pub struct RetentionClient {
    grpc: retention_client::RetentionClient<RegionChannel>,
}

impl RetentionClient {
    /// The storage service at `peer`.
    pub fn new(peer: Peer) -> Self {
        Self { grpc: retention_client::RetentionClient::new(peer.channel) }
    }
}

#[async_trait]
impl RetentionApi for RetentionClient {
    async fn report(&self, request: RetentionRequest) -> Result<RetentionReport> {
        answer(CALL_LIMIT, self.grpc.clone().report(request)).await
    }
}
