use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bulkhead_chassis::{Config, Monitor, OsEntropy, Readiness, Role, SystemClock, lifecycle, telemetry, tls};
use bulkhead_model::{Clock, Entropy, ErrorKind, Result};
use bulkhead_rpc::{AuthClient, Peer, RouterClient, StorageClient, connect};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::Failure;
use crate::listen::{address_of, listen};

/// How long a start waits for the services that it needs; they may start at the same time.
const PEERS_LIMIT: Duration = Duration::from_secs(60);

/// Pause between two attempts to reach them.
const PEERS_PAUSE: Duration = Duration::from_millis(200);

/// A process of one role: configured, logging, listening, and told when to stop.
pub(super) struct Node {
    pub(super) role: Role,
    pub(super) config: Config,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    /// Cancelled by the first SIGINT or SIGTERM.
    pub(super) stop: CancellationToken,
    readiness: Readiness,
    /// Stops the monitor, last of all.
    _monitor: tokio_util::sync::DropGuard,
}

impl Node {
    /// Reads the configuration and starts everything that is the same for every role; answers the role's listener too.
    pub(super) async fn start(role: Role, file: &Path) -> Result<(Self, TcpListener), Failure> {
        let config = Config::load(role, file)?;
        telemetry::start_logs(config.log.format, &config.log.filter)?;
        tls::install_provider();
        let metrics = telemetry::start_metrics()?;
        let stop = lifecycle::stop_on_signals().map_err(|error| Failure::io(format!("signals: {error}")))?;
        let readiness = Readiness::default();
        let monitor_stop = CancellationToken::new();
        if let Some(address) = config.monitor {
            let monitor = Monitor { readiness: readiness.clone(), metrics };
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
            readiness,
            _monitor: monitor_stop.drop_guard(),
        };
        Ok((node, listener))
    }

    /// The auth service of the region.
    pub(super) fn auth(&self) -> Result<Arc<AuthClient>, Failure> {
        Ok(Arc::new(AuthClient::new(self.peer(&self.config.endpoints.auth)?)))
    }

    /// The router of the region.
    pub(super) fn router(&self) -> Result<Arc<RouterClient>, Failure> {
        Ok(Arc::new(RouterClient::new(self.peer(&self.config.endpoints.router)?)))
    }

    /// The storage service of the region.
    pub(super) fn storage(&self) -> Result<Arc<StorageClient>, Failure> {
        Ok(Arc::new(StorageClient::new(self.peer(&self.config.endpoints.storage)?)))
    }

    fn peer(&self, url: &str) -> Result<Peer, Failure> {
        connect(self.config.region, url).map_err(|error| Failure::usage(error.to_string()))
    }

    /// Repeats a start as long as a service that it needs is not there yet.
    pub(super) async fn with_peers<T, F>(&self, start: impl Fn() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T>>,
    {
        let since = Instant::now();
        loop {
            let error = match start().await {
                Ok(started) => return Ok(started),
                Err(error) => error,
            };
            let may_come = matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout);
            if !may_come || since.elapsed() > PEERS_LIMIT {
                return Err(Failure::io(format!("{} cannot start: {error}", self.role.name())));
            }
            tokio::select! {
                () = self.stop.cancelled() => return Err(Failure::io("stopped before it was ready")),
                () = tokio::time::sleep(PEERS_PAUSE) => {}
            }
        }
    }

    /// Says that the process takes work on `listener`.
    pub(super) fn ready(&self, listener: &TcpListener) -> Result<(), Failure> {
        let address = address_of(listener)?;
        self.readiness.set(true);
        tracing::info!(role = self.role.name(), region = self.config.region.name(), %address, "ready");
        Ok(())
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
    pub(super) async fn drain(&self, drain: impl Future<Output = ()>) -> Result<(), Failure> {
        if lifecycle::drain_within(self.config.drain_limit, drain).await {
            tracing::info!(role = self.role.name(), "stopped");
            Ok(())
        } else {
            Err(Failure::refused("the drain did not finish in time"))
        }
    }
}
