//! One region in one process: the services that the cluster runs, with no socket between them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulkhead_api::{AuthApi, RouterApi};
use bulkhead_auth::{AuthService, AuthSettings};
use bulkhead_chassis::region_key::RegionKeyBytes;
use bulkhead_gateway::{Dependencies, Gateway, GatewaySettings};
use bulkhead_model::{Clock, Entropy, Region, Result};
use bulkhead_router::{RouterDependencies, RouterService, RouterSettings};
use bulkhead_seal::RegionKey;
use bulkhead_storage::StorageService;
use bulkhead_store::Store;
use bulkhead_store_embedded::{EmbeddedStore, OpenError};
use tokio::net::TcpListener;

use crate::Failure;

/// The file in a data folder that holds the region key of a region in one process.
pub const REGION_KEY_FILE: &str = "region.key";

/// What a region in one process is made of.
pub struct RegionOptions {
    pub region: Region,
    /// Belongs to the region for ever; made when it is missing.
    pub data_dir: PathBuf,
    pub region_key: RegionKeyBytes,
    pub gateway: GatewaySettings,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
}

/// A region whose services call each other directly.
pub struct RegionInProcess {
    pub auth: Arc<dyn AuthApi>,
    pub router: Arc<RouterService>,
    pub gateway: Arc<Gateway>,
    storage: StorageInProcess,
}

impl RegionInProcess {
    /// Opens the folder and starts every service; clients reach nothing until [`RegionInProcess::serve`].
    pub async fn start(options: RegionOptions) -> Result<Self, Failure> {
        let RegionOptions { region, data_dir, region_key, gateway, clock, entropy } = options;
        let storage =
            StorageInProcess::open(region, &data_dir, region_key, clock.clone(), entropy.clone()).await?;
        let settings = AuthSettings::default();
        let auth = start_auth(region, storage.store.clone(), clock.clone(), entropy.clone(), settings);
        let settings = RouterSettings::default();
        let router =
            start_router(region, storage.store.clone(), auth.clone(), clock.clone(), settings).await?;
        let gateway = start_gateway(region, auth.clone(), router.clone(), gateway, clock, entropy).await?;
        Ok(Self { auth, router, gateway, storage })
    }

    /// Accepts clients on the listener until the region is drained; with a certificate over TLS.
    pub fn serve(&self, listener: TcpListener, certificate: Option<Arc<rustls::ServerConfig>>) {
        let gateway = self.gateway.clone();
        tokio::spawn(async move {
            if let Err(error) = gateway.serve(listener, certificate).await {
                tracing::error!(%error, "the gateway's listener failed");
            }
        });
    }

    /// Tells clients to reconnect, finishes every message that was taken, writes what waits, and lets go of the folder.
    pub async fn drain(self) {
        self.gateway.drain().await;
        self.router.drain().await;
        self.storage.close().await;
    }
}

/// The storage service on a folder of this machine.
pub(crate) struct StorageInProcess {
    pub(crate) store: Arc<dyn Store>,
    engine: Arc<EmbeddedStore>,
}

impl StorageInProcess {
    /// Opens the folder, or makes it, and checks that the region key is the one that it was stored with.
    pub(crate) async fn open(
        region: Region,
        data_dir: &Path,
        mut key: RegionKeyBytes,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, Failure> {
        let engine = EmbeddedStore::open(data_dir, region, clock).map_err(cannot_open)?;
        let store = StorageService::start(engine.clone(), region, RegionKey::new(&mut key), entropy)
            .await
            .map_err(|error| Failure::of_storage(&error))?;
        Ok(Self { store, engine })
    }

    /// Commits what waits and lets go of the folder.
    pub(crate) async fn close(self) {
        self.engine.close().await;
    }
}

fn cannot_open(error: OpenError) -> Failure {
    match error {
        OpenError::WrongRegion { .. } | OpenError::NewerFormat { .. } => Failure::usage(error.to_string()),
        OpenError::Io { .. } | OpenError::InUse { .. } | OpenError::Damaged { .. } => {
            Failure::io(error.to_string())
        }
    }
}

/// The auth service on a store, which may be behind gRPC.
pub(crate) fn start_auth(
    region: Region,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    settings: AuthSettings,
) -> Arc<AuthService> {
    AuthService::new(store, region, clock, entropy, settings)
}

/// The router on a store and an auth service, which may be behind gRPC.
pub(crate) async fn start_router(
    region: Region,
    store: Arc<dyn Store>,
    auth: Arc<dyn AuthApi>,
    clock: Arc<dyn Clock>,
    settings: RouterSettings,
) -> Result<Arc<RouterService>> {
    RouterService::start(RouterDependencies { region, store, auth, clock, settings }).await
}

/// The gateway on an auth service and a router, which may be behind gRPC.
pub(crate) async fn start_gateway(
    region: Region,
    auth: Arc<dyn AuthApi>,
    router: Arc<dyn RouterApi>,
    settings: GatewaySettings,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> Result<Arc<Gateway>> {
    Gateway::start(Dependencies { region, auth, router, clock, entropy }, settings).await
}
