//! The client's side of `Attach`: a task that reads the stream into the gateway's sink.

use std::collections::HashMap;
use std::sync::Arc;

use bulkhead_api::DeliverySink;
use bulkhead_model::Result;
use bulkhead_proto::router::{AttachRequest, GatewayEvents, router_client};
use parking_lot::Mutex;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::Streaming;

use crate::guard::RegionChannel;
use crate::limits::CALL_LIMIT;
use crate::unary::answer;

/// The gateways of this process that are attached; they are detached when this is dropped.
pub(super) struct Attached {
    grpc: router_client::RouterClient<RegionChannel>,
    open: Mutex<HashMap<String, DropGuard>>,
}

impl Attached {
    pub(super) fn new(grpc: router_client::RouterClient<RegionChannel>) -> Self {
        Self { grpc, open: Mutex::default() }
    }

    /// Opens the stream; when it ends in any way but by `detach`, the sink is told.
    pub(super) async fn attach(&self, gateway: &str, sink: Arc<dyn DeliverySink>) -> Result<()> {
        let request = AttachRequest { gateway: gateway.to_owned() };
        let events = answer(CALL_LIMIT, self.grpc.clone().attach(request)).await?;
        let end = CancellationToken::new();
        tokio::spawn(read(events, sink, end.clone()));
        self.open.lock().insert(gateway.to_owned(), end.drop_guard());
        Ok(())
    }

    /// Ends the stream, which is what the router's server takes as the detachment.
    pub(super) fn detach(&self, gateway: &str) {
        self.open.lock().remove(gateway);
    }
}

async fn read(mut events: Streaming<GatewayEvents>, sink: Arc<dyn DeliverySink>, end: CancellationToken) {
    loop {
        let batch = tokio::select! {
            () = end.cancelled() => return,
            batch = events.message() => batch,
        };
        match batch {
            Ok(Some(batch)) => sink.deliver(batch.events),
            Ok(None) => break,
            Err(status) => {
                tracing::warn!(code = ?status.code(), "the stream of events from the router broke");
                break;
            }
        }
    }
    sink.detached();
}
