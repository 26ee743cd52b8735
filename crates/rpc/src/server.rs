use std::sync::Arc;

use bulkhead_api::{AttachmentApi, AuthApi, RetentionApi, RouterApi};
use bulkhead_bus::BusKeys;
use bulkhead_model::{ErrorKind, Region, Result};
use bulkhead_store::Store;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;

use crate::accept::accept;
use crate::identity::Identity;
use crate::limits::{
    CONNECTION_STREAMS_MAX, KEEP_ALIVE_INTERVAL, KEEP_ALIVE_LIMIT, STOP_LIMIT, STREAM_WINDOW_BYTES,
};
use crate::permissions::CallGuard;
use crate::trace::TraceCalls;
use crate::{
    AttachmentServer, AuthServer, BusKeysServer, RegionGuard, RetentionServer, RouterServer, StorageServer,
};

/// Serves one service trait over gRPC until it is told to stop: to the services of its region, and to each only what
/// [`crate::permissions`] says.
pub struct RpcServer {
    region: Region,
    routes: Routes,
    stop: CancellationToken,
}

impl RpcServer {
    /// Serves an auth service. Stops when `stop` is cancelled.
    pub fn auth(region: Region, api: Arc<dyn AuthApi>, stop: CancellationToken) -> Self {
        Self { region, routes: Routes::new(AuthServer::service(api)), stop }
    }

    /// Serves a router. Stops when `stop` is cancelled: its gateways are detached and publishes without an answer fail
    /// with `Unavailable`, so drain the router first.
    pub fn router(region: Region, api: Arc<dyn RouterApi>, stop: CancellationToken) -> Self {
        Self { region, routes: Routes::new(RouterServer::service(api, stop.clone())), stop }
    }

    /// Serves a store. Stops when `stop` is cancelled.
    pub fn storage(region: Region, store: Arc<dyn Store>, stop: CancellationToken) -> Self {
        Self { region, routes: Routes::new(StorageServer::service(store)), stop }
    }

    /// Serves attachments too; they belong to the storage service.
    pub fn with_attachments(mut self, api: Arc<dyn AttachmentApi>) -> Self {
        self.routes = self.routes.add_service(AttachmentServer::service(api));
        self
    }

    /// Serves the keys of the bus too; they belong to the storage service.
    pub fn with_bus_keys(mut self, keys: Arc<dyn BusKeys>) -> Self {
        self.routes = self.routes.add_service(BusKeysServer::service(keys));
        self
    }

    /// Serves reports on what is kept too; they belong to the storage service.
    pub fn with_retention(mut self, api: Arc<dyn RetentionApi>) -> Self {
        self.routes = self.routes.add_service(RetentionServer::service(api));
        self
    }

    /// Accepts connections of `listener` as `identity`; returns when it was stopped and its calls are answered, or given
    /// up after [`STOP_LIMIT`]. `InvalidArgument` for an identity of another region, and for one without certificates on
    /// an address that others than this machine can reach.
    pub async fn serve(self, listener: TcpListener, identity: &Identity) -> Result<()> {
        let Self { region, routes, stop } = self;
        if identity.region() != region {
            return Err(ErrorKind::InvalidArgument.with("the identity is another region's"));
        }
        let address = listener
            .local_addr()
            .map_err(|error| ErrorKind::Unavailable.with(format!("the listener has no address: {error}")))?;
        if !identity.allows(address) {
            let wrong = format!("{address} cannot be served without certificates: it is no loopback address");
            return Err(ErrorKind::InvalidArgument.with(wrong));
        }
        let serving = Server::builder()
            .http2_keepalive_interval(Some(KEEP_ALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEP_ALIVE_LIMIT))
            .max_concurrent_streams(CONNECTION_STREAMS_MAX)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(4 * STREAM_WINDOW_BYTES)
            .layer(RegionGuard::new(region))
            .layer(CallGuard)
            .layer(TraceCalls)
            .add_routes(routes)
            .serve_with_incoming_shutdown(
                accept(listener, identity.clone(), stop.clone()),
                stop.clone().cancelled_owned(),
            );
        let give_up = async {
            stop.cancelled().await;
            tokio::time::sleep(STOP_LIMIT).await;
        };
        tokio::select! {
            served = serving => served.map_err(|error| {
                ErrorKind::Unavailable.with(format!("the gRPC listener failed: {error}"))
            }),
            () = give_up => Ok(()),
        }
    }
}
