use std::future::Future;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bulkhead_api::RouterApi;
use bulkhead_chassis::config::IdentityConfig;
use bulkhead_chassis::residency::{DialledAddress, Residency, ResidencyReport};
use bulkhead_chassis::telemetry::{self, Traces};
use bulkhead_chassis::{Config, Monitor, OsEntropy, Readiness, Role, SystemClock, identity, lifecycle, tls};
use bulkhead_model::{Clock, Entropy, ErrorKind, Result};
use bulkhead_proto::router::SlotsRequest;
use bulkhead_routers::Routers;
use bulkhead_rpc::identity::{Refusal, ServiceName};
use bulkhead_rpc::{
    AttachmentClient, AuthClient, BusKeysClient, Identity, Peer, RouterClient, RpcServer, Service,
    StorageClient, connect,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::Failure;
use crate::listen::{address_of, listen};

/// How long a start waits for the services that it needs; they may start at the same time.
const PEERS_LIMIT: Duration = Duration::from_secs(60);

/// Pause between two attempts to reach them, and between two looks whether one is another region's.
const PEERS_PAUSE: Duration = Duration::from_millis(200);

/// How long a node that is ready otherwise looks whom its addresses lead to.
const PEERS_LOOK_LIMIT: Duration = Duration::from_secs(5);

/// How long a gateway's place must have been with another router before its sessions move there: longer than a restart.
const MOVE_AFTER: Duration = Duration::from_secs(30);

/// A process of one role: configured, logging, listening, and told when to stop.
pub(super) struct Node {
    pub(super) role: Role,
    pub(super) config: Config,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    /// Cancelled by the first SIGINT or SIGTERM.
    pub(super) stop: CancellationToken,
    /// What other services know this process by.
    pub(super) identity: Identity,
    pub(super) readiness: Readiness,
    /// Where the process's data can go; whatever dials adds itself.
    pub(super) residency: Residency,
    /// Whom the addresses of the configuration lead to, until that was looked at.
    peers: Mutex<Vec<Peer>>,
    traces: Traces,
    /// Stops the monitor, last of all.
    _monitor: tokio_util::sync::DropGuard,
}

impl Node {
    /// Reads the configuration and starts everything that is the same for every role; answers the role's listener too.
    pub(super) async fn start(role: Role, file: &Path) -> Result<(Self, TcpListener), Failure> {
        let config = Config::load(role, file)?;
        let traces = telemetry::start(&config.log, config.traces.as_ref(), role, config.region)?;
        tls::install_provider();
        let metrics = telemetry::start_metrics()?;
        let stop = lifecycle::stop_on_signals().map_err(|error| Failure::io(format!("signals: {error}")))?;
        let readiness = Readiness::default();
        let identity = identify(role, &config)?;
        let residency = residency(role, &config, &identity);
        let monitor_stop = CancellationToken::new();
        if let Some(address) = config.monitor {
            let monitor = Monitor { readiness: readiness.clone(), metrics, residency: residency.clone() };
            let listener = listen(address, "monitor.listen").await?;
            tokio::spawn(monitor.serve(listener, monitor_stop.clone()));
        }
        let listener = listen(config.listen, &format!("{}.listen", role.name())).await?;
        let node = Self {
            role,
            config,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy),
            stop,
            identity,
            readiness,
            residency,
            peers: Mutex::default(),
            traces,
            _monitor: monitor_stop.drop_guard(),
        };
        Ok((node, listener))
    }

    /// The auth service of the region.
    pub(super) fn auth(&self) -> Result<Arc<AuthClient>, Failure> {
        Ok(Arc::new(AuthClient::new(self.peer(Service::Auth, &self.config.endpoints.auth)?)))
    }

    /// The routers of the region, those that are configured and those that they know of.
    pub(super) fn routers(&self) -> Result<Arc<Routers>, Failure> {
        let seeds: Vec<_> =
            self.config.endpoints.router.split(',').map(|url| url.trim().to_owned()).collect();
        for seed in &seeds {
            let peer = connect(&self.identity, Service::Router, seed);
            self.look_at(peer.map_err(|error| Failure::usage(error.to_string()))?);
        }
        let identity = self.identity.clone();
        let dial = Box::new(move |url: &str| -> Result<Arc<dyn RouterApi>> {
            Ok(Arc::new(RouterClient::new(connect(&identity, Service::Router, url)?)))
        });
        let routers =
            Routers::new(&seeds, dial, MOVE_AFTER).map_err(|error| Failure::usage(error.to_string()))?;
        let routers = Arc::new(routers);
        let watched = routers.clone();
        self.readiness.depends_on(Service::Router.name(), move || {
            let routers = watched.clone();
            async move { routers.slots(SlotsRequest {}).await.map(drop) }
        });
        Ok(routers)
    }

    /// The storage service of the region.
    pub(super) fn storage(&self) -> Result<Arc<StorageClient>, Failure> {
        Ok(Arc::new(StorageClient::new(self.peer(Service::Storage, &self.config.endpoints.storage)?)))
    }

    /// The keys of the bus, which storage hands to routers.
    pub(super) fn bus_keys(&self) -> Result<Arc<BusKeysClient>, Failure> {
        Ok(Arc::new(BusKeysClient::new(self.peer(Service::Storage, &self.config.endpoints.storage)?)))
    }

    /// The attachments of the region, which storage keeps.
    pub(super) fn attachments(&self) -> Result<Arc<AttachmentClient>, Failure> {
        Ok(Arc::new(AttachmentClient::new(self.peer(Service::Storage, &self.config.endpoints.storage)?)))
    }

    fn peer(&self, service: Service, addresses: &str) -> Result<Peer, Failure> {
        let peer = connect(&self.identity, service, addresses);
        let peer = peer.map_err(|error| Failure::usage(error.to_string()))?;
        self.look_at(peer.clone());
        let watched = peer.clone();
        self.readiness.depends_on(service.name(), move || {
            let peer = watched.clone();
            async move { peer.reach().await }
        });
        Ok(peer)
    }

    /// Serves gRPC under the node's identity.
    pub(super) fn serve(
        &self,
        server: RpcServer,
        listener: TcpListener,
    ) -> tokio::task::JoinHandle<Result<()>> {
        let identity = self.identity.clone();
        tokio::spawn(async move { server.serve(listener, &identity).await })
    }

    /// Repeats a start as long as a service that it needs is not there yet; one that is another region's will not come.
    pub(super) async fn with_peers<T, F>(&self, start: impl Fn() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T>>,
    {
        let since = Instant::now();
        loop {
            let outcome = tokio::select! {
                outcome = start() => outcome,
                // A start may itself wait for what will not come.
                refusal = self.until_another_region_answers() => return Err(refusal),
            };
            let error = match outcome {
                Ok(started) => return Ok(started),
                Err(error) => error,
            };
            self.refuse_other_regions()?;
            let text = format!("{} cannot start: {error}", self.role.name());
            match error.kind() {
                ErrorKind::Unavailable | ErrorKind::Timeout if since.elapsed() <= PEERS_LIMIT => {}
                // What is configured does not fit, like the mark of another region on a shard.
                ErrorKind::InvalidArgument => return Err(Failure::usage(text)),
                _ => return Err(Failure::io(text)),
            }
            tokio::select! {
                () = self.stop.cancelled() => return Err(Failure::io("stopped before it was ready")),
                () = tokio::time::sleep(PEERS_PAUSE) => {}
            }
        }
    }

    /// Says that the process takes work on `listener`, once none of its addresses has turned out to lead to another region.
    pub(super) async fn ready(&self, listener: &TcpListener) -> Result<(), Failure> {
        let address = address_of(listener)?;
        let peers = self.peers.lock().map(|mut peers| std::mem::take(&mut *peers)).unwrap_or_default();
        let looks = async {
            for peer in peers {
                // One that is away may come; whoever answers is known by its certificate.
                let _ = peer.reach_each().await;
            }
        };
        let _ = tokio::time::timeout(PEERS_LOOK_LIMIT, looks).await;
        self.refuse_other_regions()?;
        self.readiness.set(true);
        tracing::info!(role = self.role.name(), region = self.config.region.name(), %address, "ready");
        Ok(())
    }

    fn look_at(&self, peer: Peer) {
        if let Ok(mut peers) = self.peers.lock() {
            peers.push(peer);
        }
    }

    /// A service that has shown a certificate of another region is a mistake in the configuration (design: region pinning,
    /// layer 1). While the node runs, such a service is refused and counted, and no reason to stop.
    fn refuse_other_regions(&self) -> Result<(), Failure> {
        let dialled = self.identity.dialled();
        let foreign = dialled.iter().find(|dialled| dialled.refused == Some(Refusal::OtherRegion));
        foreign.map_or(Ok(()), |dialled| {
            let (service, address) = (dialled.service.name(), dialled.address);
            Err(Failure::usage(format!("endpoints.{service}.url: {address} belongs to another region")))
        })
    }

    async fn until_another_region_answers(&self) -> Failure {
        loop {
            tokio::time::sleep(PEERS_PAUSE).await;
            if let Err(refusal) = self.refuse_other_regions() {
                return refusal;
            }
        }
    }

    /// Waits for the signal, or for a service that ends by itself, which is a failure.
    pub(super) async fn until_stopped(
        &self,
        serving: &mut tokio::task::JoinHandle<Result<()>>,
    ) -> Result<(), Failure> {
        let ended = tokio::select! {
            () = self.stop.cancelled() => {
                self.readiness.set(false);
                return Ok(());
            }
            ended = serving => ended,
        };
        Err(match ended {
            Ok(Ok(())) => Failure::refused("the listener ended without being told to"),
            Ok(Err(error)) => Failure::io(error.to_string()),
            Err(panic) => Failure::refused(format!("the listener ended: {panic}")),
        })
    }

    /// Finishes the work within the configured time.
    pub(super) async fn drain(self, drain: impl Future<Output = ()>) -> Result<(), Failure> {
        let finished = lifecycle::drain_within(self.config.drain_limit, drain).await;
        let traces = self.traces;
        // Blocks for a moment; a failure was said.
        let _ = tokio::task::spawn_blocking(move || traces.stop()).await;
        if finished {
            tracing::info!(role = self.role.name(), "stopped");
            Ok(())
        } else {
            Err(Failure::refused("the drain did not finish in time"))
        }
    }
}

fn identify(role: Role, config: &Config) -> Result<Identity, Failure> {
    match &config.identity {
        IdentityConfig::Insecure => {
            tracing::warn!(
                "identity.insecure is set: what passes between services is neither encrypted nor authenticated"
            );
            Ok(Identity::insecure(config.region))
        }
        IdentityConfig::Files(files) => {
            let name = ServiceName { region: config.region, service: role.service() };
            let (identity, reloader) = identity::load(files.clone(), name)?;
            tokio::spawn(reloader.run());
            Ok(identity)
        }
    }
}

fn residency(role: Role, config: &Config, identity: &Identity) -> Residency {
    let name = ServiceName { region: config.region, service: role.service() };
    let residency = Residency::new(ResidencyReport {
        region: config.region.name().to_owned(),
        process: role.name().to_owned(),
        identity: (!identity.is_insecure()).then(|| name.to_string()),
        configured: config.configured.clone(),
        dialled: Vec::new(),
    });
    let identity = identity.clone();
    residency.add_source(Box::new(move || {
        let dialled = identity.dialled().into_iter().map(|dialled| DialledAddress {
            service: dialled.service.name().to_owned(),
            address: dialled.address.to_string(),
            proven_region: dialled.proven_region.map(|region| region.name().to_owned()),
            connected: dialled.connected,
            failed: dialled.failed,
            refused: dialled.refused.map(|refusal| refusal.reason().to_owned()),
        });
        dialled.collect()
    }));
    residency
}
