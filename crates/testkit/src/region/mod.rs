mod own;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Cassandra, TestCluster};
use own::OwnRegion;

/// How the services of the region are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Composition {
    /// `bulkhead dev`: one process.
    OneProcess,
    /// `bulkhead storage|auth|router|gateway`: one process each, gRPC between them.
    Roles,
    /// The roles on a keyspace of the Cassandra that the process's tests share.
    RolesOnCassandra,
}

/// An app of the region, with what its back end knows.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct App {
    pub org_name: String,
    pub app_name: String,
    pub app_key: String,
    pub app_id: String,
    pub app_certificate: String,
    pub client_id: String,
    pub client_secret: String,
    pub users: Vec<User>,
}

/// A user that exists from the start.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct User {
    pub username: String,
    pub password: String,
    pub uuid: String,
}

/// A running region, as its clients and its operator see it.
pub struct TestRegion {
    apps: Vec<App>,
    /// `host:port` of each gateway.
    gateways: Vec<String>,
    clients: AtomicUsize,
    running: Running,
}

enum Running {
    Own(OwnRegion),
    Shared(Arc<Mutex<TestCluster>>),
}

impl TestRegion {
    /// Makes a new region with the apps `demo/chat` (users alice and bob) and `apps`, and waits until it serves.
    pub fn start(binary: &Path, composition: Composition, apps: &[&str]) -> Result<Self> {
        let own = OwnRegion::start(binary, composition, apps)?;
        let gateways = vec![format!("127.0.0.1:{}", own.port)];
        Ok(Self {
            apps: own.apps.clone(),
            gateways,
            clients: AtomicUsize::new(0),
            running: Running::Own(own),
        })
    }

    /// New apps in a cluster, which is started again if it does not run: `first` (users alice and bob) and `apps`.
    pub fn in_cluster(cluster: &Arc<Mutex<TestCluster>>, first: &str, apps: &[&str]) -> Result<Self> {
        let mut locked = cluster.lock();
        if !locked.is_running() {
            locked.start_all()?;
        }
        let apps = [first].iter().chain(apps).map(|name| locked.make_app(name)).collect::<Result<_>>()?;
        let gateways = vec![locked.gateway(0), locked.gateway(1)];
        drop(locked);
        let running = Running::Shared(cluster.clone());
        Ok(Self { apps, gateways, clients: AtomicUsize::new(0), running })
    }

    /// The address of REST, without a trailing slash: of the next gateway each time.
    pub fn rest_url(&self) -> String {
        format!("http://{}", self.next_gateway())
    }

    /// The address of MSYNC: of the next gateway each time.
    pub fn ws_url(&self) -> String {
        format!("ws://{}/websocket", self.next_gateway())
    }

    /// The first app.
    pub fn app(&self) -> &App {
        &self.apps[0]
    }

    /// Every app, in the order in which they were asked for.
    pub fn apps(&self) -> &[App] {
        &self.apps
    }

    /// What the operator's `bulkhead admin` prints, as JSON; `None` in one process, which listens to no operator.
    pub fn admin(&self, arguments: &[&str]) -> Result<Option<Value>> {
        match &self.running {
            Running::Own(own) => own.operator.as_ref().map(|operator| operator.admin(arguments)).transpose(),
            Running::Shared(cluster) => cluster.lock().admin(arguments).map(Some),
        }
    }

    /// The folders with data and logs.
    pub fn folders(&self) -> Result<Vec<PathBuf>> {
        Ok(match &self.running {
            Running::Own(own) => vec![own.folder().to_owned()],
            Running::Shared(cluster) => {
                vec![cluster.lock().folder().to_owned(), Cassandra::shared()?.folder().to_owned()]
            }
        })
    }

    /// SIGKILL to every process at once.
    pub fn kill(&mut self) -> Result<()> {
        match &mut self.running {
            Running::Own(own) => own.kill(),
            Running::Shared(cluster) => cluster.lock().kill_all(),
        }
    }

    /// SIGTERM to every process, gateways first; each must end with exit code 0.
    pub fn stop(&mut self) -> Result<()> {
        match &mut self.running {
            Running::Own(own) => own.stop(),
            Running::Shared(cluster) => cluster.lock().stop_all(),
        }
    }

    /// Starts what was stopped or killed, on the same data and the same client ports.
    pub fn start_again(&mut self) -> Result<()> {
        match &mut self.running {
            Running::Own(own) => own.start_again(),
            Running::Shared(cluster) => cluster.lock().start_all(),
        }
    }

    fn next_gateway(&self) -> &str {
        &self.gateways[self.clients.fetch_add(1, Ordering::Relaxed) % self.gateways.len()]
    }
}
