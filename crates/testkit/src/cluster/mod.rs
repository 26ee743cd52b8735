//! A region as a cluster: two gateways, two routers, auth and storage as processes of their own, two Redis shards, and, if
//! the test wants that, a Cassandra for the rows and links that can be cut.

mod configure;
mod home;
mod options;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tempfile::TempDir;

use crate::operator::{Operator, make_users};
use crate::roles::answers;
use crate::{App, Cassandra, Certificates, Link, Process, RedisOptions, RedisServer, keyspace};
use configure::{PlacedLinks, Places, configure};
pub use options::{ClusterOptions, Rows};

/// How long a start may take.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Restarts of a gateway until its sessions are with another router than those of the other: each has an even chance.
const HOMES_TRIED_MAX: usize = 30;

/// What runs, in the order of start: a name and its role.
const NODES: [(&str, &str); 6] = [
    ("storage", "storage"),
    ("auth", "auth"),
    ("router-1", "router"),
    ("router-2", "router"),
    ("gateway-1", "gateway"),
    ("gateway-2", "gateway"),
];

/// A running cluster. The sessions of its two gateways are with two different routers at the start.
pub struct TestCluster {
    binary: PathBuf,
    processes: Vec<(&'static str, Process)>,
    shards: Vec<RedisServer>,
    database: Option<Cassandra>,
    places: Places,
    certificates: Certificates,
    operator: Operator,
    apps: Vec<App>,
    options: ClusterOptions,
    folder: TempDir,
}

impl TestCluster {
    /// Makes a new region with the app `demo/chat` (users alice and bob) and waits until both gateways serve.
    pub fn start(binary: &Path) -> Result<Self> {
        Self::start_with(binary, ClusterOptions::default())
    }

    /// The same for a region of another name, at another place, or put together in another way.
    pub fn start_with(binary: &Path, options: ClusterOptions) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let region = &options.region;
        let (database, rows) = match options.rows {
            Rows::Embedded => (None, String::new()),
            Rows::OwnCassandra => {
                let node = Cassandra::start(region)?;
                let section = keyspace::storage_section(&node, region);
                (Some(node), section)
            }
            Rows::SharedCassandra => (None, keyspace::storage_section(Cassandra::shared()?, region)),
        };
        let redis = RedisOptions { host: Some(options.host), ..RedisOptions::default() };
        let shards = vec![RedisServer::start(redis.clone())?, RedisServer::start(redis)?];
        let places = Places::new(&options)?;
        keyspace::write_region_key(&folder.path().join("data"), region)?;
        let certificates = Certificates::of(binary, &folder.path().join("certificates"), region)?;
        configure(folder.path(), &certificates, &places, &shards, &options, &rows)?;
        if options.rows != Rows::Embedded {
            keyspace::migrate(binary, &folder.path().join("storage.toml"))?;
        }
        let operator = Operator::new(binary, &certificates, region, &places.auth_url())?;
        let mut cluster = Self {
            binary: binary.to_owned(),
            processes: Vec::new(),
            shards,
            database,
            places,
            certificates,
            operator,
            apps: Vec::new(),
            options,
            folder,
        };
        cluster.start_all()?;
        let demo = cluster.make_app(keyspace::FIRST_APP)?;
        cluster.apps.push(demo);
        Ok(cluster)
    }

    /// The region's name.
    pub fn region(&self) -> &str {
        &self.options.region
    }

    /// Where everything listens.
    pub fn host(&self) -> Ipv4Addr {
        self.options.host
    }

    /// The address of REST at one of the two gateways (0 or 1).
    pub fn rest_url(&self, gateway: usize) -> String {
        format!("http://{}", self.gateway(gateway))
    }

    /// The monitors of all nodes, as `bulkhead admin residency` takes them.
    pub fn monitor_urls(&self) -> Vec<String> {
        self.places.monitors.iter().map(|port| format!("http://{}:{port}", self.options.host)).collect()
    }

    /// The monitor of the node of this name; see [`TestCluster::process`].
    pub fn monitor_url(&self, name: &str) -> Result<String> {
        let place = NODES.iter().position(|(known, _)| *known == name).context("no such node")?;
        Ok(self.monitor_urls().swap_remove(place))
    }

    /// The configuration file of the node of this name; see [`TestCluster::process`].
    pub fn configuration(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.toml"))
    }

    /// The region's authority and the certificates of its services.
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// The addresses of the Redis shards.
    pub fn shard_urls(&self) -> Vec<String> {
        self.shards.iter().map(RedisServer::url).collect()
    }

    /// The app `demo/chat`.
    pub fn app(&self) -> &App {
        &self.apps[0]
    }

    /// Creates the app `ORG/APP` with the users alice and bob.
    pub fn make_app(&self, name: &str) -> Result<App> {
        let mut app = self.operator.make_app(name)?;
        make_users(&self.gateway(0), &mut app)?;
        Ok(app)
    }

    /// The arguments with which `bulkhead admin` reaches this region as its operator.
    pub fn operator_arguments(&self) -> &[String] {
        self.operator.reach()
    }

    /// What a command of the operator's `bulkhead admin` prints, as JSON.
    pub fn admin(&self, arguments: &[&str]) -> Result<Value> {
        self.operator.admin(arguments)
    }

    /// `host:port` of one of the two gateways (0 or 1).
    pub fn gateway(&self, gateway: usize) -> String {
        format!("{}:{}", self.options.host, self.places.gateways[gateway])
    }

    /// The folder with data, configuration and logs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The process of this name: `storage`, `auth`, `router-1`, `router-2`, `gateway-1`, `gateway-2`.
    pub fn process(&mut self, name: &str) -> Result<&mut Process> {
        let found = self.processes.iter_mut().find(|(known, _)| *known == name);
        found.map(|(_, process)| process).with_context(|| format!("no {name} is running"))
    }

    /// SIGKILL.
    pub fn kill(&mut self, name: &str) -> Result<()> {
        self.process(name)?.kill()?;
        self.processes.retain(|(known, _)| *known != name);
        Ok(())
    }

    /// SIGTERM; it must end in order.
    pub fn stop(&mut self, name: &str) -> Result<()> {
        let process = self.process(name)?;
        let status = process.terminate(START_LIMIT)?;
        if !status.success() {
            bail!("{name} ended with {status}: {}", process.log());
        }
        self.processes.retain(|(known, _)| *known != name);
        Ok(())
    }

    /// Starts what was stopped or killed.
    pub fn start_again(&mut self, name: &str) -> Result<()> {
        let (name, role) = NODES.into_iter().find(|(known, _)| *known == name).context("no such node")?;
        let config = self.configuration(name).display().to_string();
        let arguments = [role.to_owned(), "--config".to_owned(), config];
        let log = self.folder.path().join(format!("{name}.log"));
        self.processes.push((name, Process::start_logging(&self.binary, &arguments, &log, "info")?));
        Ok(())
    }

    /// SIGKILL to every process of the region at once; Redis and the database go on.
    pub fn kill_all(&mut self) -> Result<()> {
        for (_, process) in &mut self.processes {
            process.kill()?;
        }
        self.processes.clear();
        Ok(())
    }

    /// SIGTERM to every process, gateways first; each must end in order.
    pub fn stop_all(&mut self) -> Result<()> {
        NODES.iter().rev().try_for_each(|(name, _)| self.stop(name))
    }

    /// Starts every process after [`TestCluster::kill_all`] or [`TestCluster::stop_all`], and waits until both gateways
    /// serve.
    pub fn start_all(&mut self) -> Result<()> {
        for (name, _) in NODES {
            self.start_again(name)?;
        }
        self.wait_until_both_serve()?;
        self.spread_homes()
    }

    /// Its own processes that run, by name.
    pub fn process_ids(&self) -> impl Iterator<Item = (&'static str, u32)> {
        self.processes.iter().map(|(name, process)| (*name, process.id()))
    }

    /// Whether any process of the region runs.
    pub fn is_running(&self) -> bool {
        !self.processes.is_empty()
    }

    /// A Redis shard (0 or 1).
    pub fn shard(&mut self, shard: usize) -> &mut RedisServer {
        &mut self.shards[shard]
    }

    /// The cluster's own database.
    pub fn database(&mut self) -> Result<&mut Cassandra> {
        self.database.as_mut().context("the cluster has no database of its own")
    }

    /// The link from the gateways to a router (0 or 1).
    pub fn link_to_router(&self, router: usize) -> Result<&Link> {
        Ok(&self.links()?.to_routers[router])
    }

    /// The link from a router (0 or 1) to storage.
    pub fn link_to_storage(&self, router: usize) -> Result<&Link> {
        Ok(&self.links()?.to_storage[router])
    }

    /// Everything that the processes that run have printed.
    pub fn logs(&self) -> String {
        self.processes.iter().map(|(name, process)| format!("--- {name}\n{}", process.log())).collect()
    }

    /// Returns when both gateways answer.
    pub fn wait_until_both_serve(&mut self) -> Result<()> {
        let start = Instant::now();
        let gateways = self.places.gateways.map(|port| SocketAddrV4::new(self.options.host, port));
        while !gateways.into_iter().all(answers) {
            for (name, process) in &mut self.processes {
                if process.has_ended() {
                    bail!("{name} ended while it started: {}", process.log());
                }
            }
            if start.elapsed() > START_LIMIT {
                bail!("the cluster does not serve: {}", self.logs());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn links(&self) -> Result<&PlacedLinks> {
        self.places.links.as_ref().context("the cluster has no links")
    }

    /// Starts the second gateway again until its sessions are not with the router of the first one's: only then does what
    /// their clients say to each other pass from router to router.
    fn spread_homes(&mut self) -> Result<()> {
        let first = home::home_of(self.process("gateway-1")?)?;
        for _ in 0..HOMES_TRIED_MAX {
            if home::home_of(self.process("gateway-2")?)? != first {
                return self.wait_until_both_serve();
            }
            self.kill("gateway-2")?;
            std::fs::remove_file(self.folder.path().join("gateway-2.log"))?;
            self.start_again("gateway-2")?;
        }
        bail!("both gateways stay with the router at {first}")
    }
}
