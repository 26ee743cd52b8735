//! One region in one process: the services that the cluster runs, with no socket between them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulkhead_api::{AttachmentApi, AuthApi};
use bulkhead_auth::{AuthService, AuthSettings};
use bulkhead_chassis::region_key::RegionKeyBytes;
use bulkhead_gateway::{Dependencies, Front, Gateway, GatewaySettings};
use bulkhead_model::{Clock, Entropy, Region, Result};
use bulkhead_router::{RouterDependencies, RouterService, RouterSettings};
use bulkhead_seal::RegionKey;
use bulkhead_storage::{
    AttachmentService, AttachmentSettings, BusKeyService, ObjectPlace, RetentionService, StorageService,
};
use bulkhead_store::Store;
use bulkhead_store_cql::CqlStore;
use bulkhead_store_embedded::{EmbeddedStore, OpenError};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::Failure;

/// The file in a data folder that holds the region key of a region in one process.
pub const REGION_KEY_FILE: &str = "region.key";

/// The folder in a data folder that holds attachments, unless another place is set.
const OBJECTS_FOLDER: &str = "objects";

/// Attachments that a region in one process takes at one time.
const UPLOADS_MAX: usize = 64;

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
        let attachments = AttachmentSettings {
            place: ObjectPlace::Folder(data_dir.join(OBJECTS_FOLDER)),
            retention_ms: None,
            uploads_max: UPLOADS_MAX,
        };
        let attachments = storage.start_attachments(attachments, clock.clone(), entropy.clone()).await?;
        let settings = AuthSettings::default();
        let auth = start_auth(region, storage.store.clone(), clock.clone(), entropy.clone(), settings);
        let router = RouterService::start(RouterDependencies {
            region,
            store: storage.store.clone(),
            auth: auth.clone(),
            clock: clock.clone(),
            entropy: entropy.clone(),
            address: String::new(),
            alone: true,
            bus: None,
            settings: RouterSettings::default(),
        });
        let router = router.await?;
        let gateway = Gateway::start(
            Dependencies { region, auth: auth.clone(), router: router.clone(), attachments, clock, entropy },
            gateway,
        )
        .await?;
        Ok(Self { auth, router, gateway, storage })
    }

    /// Accepts clients on the listener until the region is drained.
    pub fn serve(&self, listener: TcpListener, front: Front) {
        let gateway = self.gateway.clone();
        tokio::spawn(async move {
            if let Err(error) = gateway.serve(listener, front).await {
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

/// The storage service and the engine that it stands on.
pub(crate) struct StorageInProcess {
    pub(crate) store: Arc<StorageService>,
    /// For routers of other processes.
    pub(crate) bus_keys: Arc<BusKeyService>,
    /// Ends the sweeps of what is over.
    stop_sweeps: CancellationToken,
    engine: Engine,
}

/// Where rows are kept.
#[derive(Clone)]
enum Engine {
    /// A folder of this machine.
    Embedded(Arc<EmbeddedStore>),
    /// A keyspace of a database.
    Cql(Arc<CqlStore>),
}

impl StorageInProcess {
    /// Opens the folder, or makes it, and checks that the region key is the one that it was stored with.
    pub(crate) async fn open(
        region: Region,
        data_dir: &Path,
        key: RegionKeyBytes,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, Failure> {
        let folder = open_folder(region, data_dir, clock.clone())?;
        Self::on_folder(region, folder, key, clock, entropy).await
    }

    /// The same on a folder that is open.
    pub(crate) async fn on_folder(
        region: Region,
        folder: Arc<EmbeddedStore>,
        key: RegionKeyBytes,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, Failure> {
        Self::start(region, Engine::Embedded(folder), key, clock, entropy).await
    }

    /// The same on a keyspace, which was made before.
    pub(crate) async fn on_keyspace(
        region: Region,
        keyspace: Arc<CqlStore>,
        key: RegionKeyBytes,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, Failure> {
        Self::start(region, Engine::Cql(keyspace), key, clock, entropy).await
    }

    async fn start(
        region: Region,
        engine: Engine,
        mut key: RegionKeyBytes,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, Failure> {
        let rows: Arc<dyn bulkhead_store::Engine> = match &engine {
            Engine::Embedded(store) => store.clone(),
            Engine::Cql(store) => store.clone(),
        };
        let key = RegionKey::new(&mut key);
        let bus_keys = BusKeyService::new(region, &key, clock.clone());
        let store = StorageService::start(rows, region, key, clock, entropy)
            .await
            .map_err(|error| Failure::of_storage(&error))?;
        Ok(Self { store, bus_keys, stop_sweeps: CancellationToken::new(), engine })
    }

    /// Opens the place of attachments, or marks a new one, and keeps it and the rows swept until
    /// [`StorageInProcess::close`].
    pub(crate) async fn start_attachments(
        &self,
        settings: AttachmentSettings,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Arc<dyn AttachmentApi>, Failure> {
        let attachments =
            AttachmentService::start(self.store.clone(), clock.clone(), entropy.clone(), settings)
                .await
                .map_err(|error| Failure::of_storage(&error))?;
        tokio::spawn(attachments.clone().run_sweeps(self.stop_sweeps.clone()));
        let retention = RetentionService::new(self.store.clone(), attachments.clone(), clock, &*entropy);
        tokio::spawn(retention.run(self.stop_sweeps.clone()));
        Ok(attachments)
    }

    /// Commits what waits and lets go of the folder.
    pub(crate) async fn close(self) {
        self.stop_sweeps.cancel();
        match self.engine {
            Engine::Embedded(store) => store.close().await,
            // What was acknowledged is durable there; connections end with their owner.
            Engine::Cql(store) => drop(store),
        }
    }
}

/// The embedded engine on a folder, which is made when it is missing.
pub(crate) fn open_folder(
    region: Region,
    data_dir: &Path,
    clock: Arc<dyn Clock>,
) -> Result<Arc<EmbeddedStore>, Failure> {
    EmbeddedStore::open(data_dir, region, clock).map_err(|error| folder_failure(&error))
}

/// A folder that cannot be opened.
pub(crate) fn folder_failure(error: &OpenError) -> Failure {
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
