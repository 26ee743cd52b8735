//! A region as a cluster: two gateways, two routers, auth and storage as processes of their own, and two Redis shards.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::region::{DevRegion, make_dev_region};
use crate::roles::answers;
use crate::{App, Certificates, Process, RedisOptions, RedisServer, free_ports};

/// How long a start may take.
const START_LIMIT: Duration = Duration::from_secs(60);

/// How long a router may be silent, in milliseconds: short, so that a test need not wait long for a crash to be noticed.
const LEASE_MS: u64 = 1500;

/// What runs, in the order of start: a name and its role.
const NODES: [(&str, &str); 6] = [
    ("storage", "storage"),
    ("auth", "auth"),
    ("router-1", "router"),
    ("router-2", "router"),
    ("gateway-1", "gateway"),
    ("gateway-2", "gateway"),
];

/// Which region a cluster is, and where.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// Its name.
    pub region: String,
    /// Where everything listens: an address of this machine, or of the network namespace that the caller is in.
    pub host: Ipv4Addr,
    /// The ports for clients; free ones when not set.
    pub gateway_ports: Option<[u16; 2]>,
    /// Names and public addresses of the other regions.
    pub homes: Vec<(String, String)>,
    /// What the storage section says beyond its folder and the region key, and the sections below it.
    pub storage_section: String,
}

impl Default for ClusterOptions {
    fn default() -> Self {
        Self {
            region: "singapore".to_owned(),
            host: Ipv4Addr::LOCALHOST,
            gateway_ports: None,
            homes: Vec::new(),
            storage_section: String::new(),
        }
    }
}

/// A running cluster.
pub struct TestCluster {
    binary: PathBuf,
    options: ClusterOptions,
    folder: TempDir,
    dev: DevRegion,
    gateway_ports: [u16; 2],
    monitor_ports: [u16; NODES.len()],
    certificates: Certificates,
    shards: Vec<RedisServer>,
    processes: Vec<(&'static str, Process)>,
}

impl TestCluster {
    /// Makes a new region with the app `demo/chat` (users alice and bob) and waits until both gateways serve.
    pub fn start(binary: &Path) -> Result<Self> {
        Self::start_with(binary, ClusterOptions::default())
    }

    /// The same for a region of another name, at another place.
    pub fn start_with(binary: &Path, options: ClusterOptions) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let dev = make_dev_region(binary, folder.path(), &options.region)?;
        let redis = RedisOptions { host: Some(options.host), ..RedisOptions::default() };
        let shards = vec![RedisServer::start(redis.clone())?, RedisServer::start(redis)?];
        let gateway_ports = match options.gateway_ports {
            Some(ports) => ports,
            None => free_ports(options.host)?,
        };
        let monitor_ports = free_ports(options.host)?;
        let certificates = Certificates::of(binary, &folder.path().join("certificates"), &options.region)?;
        let mut cluster = Self {
            binary: binary.to_owned(),
            options,
            folder,
            dev,
            gateway_ports,
            monitor_ports,
            certificates,
            shards,
            processes: Vec::new(),
        };
        cluster.configure()?;
        for (name, _) in NODES {
            cluster.start_again(name)?;
        }
        cluster.wait_until_both_serve()?;
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

    /// The app `demo/chat`.
    pub fn app(&self) -> &App {
        &self.dev.apps[0]
    }

    /// The address of REST at one of the two gateways (0 or 1).
    pub fn rest_url(&self, gateway: usize) -> String {
        format!("http://{}:{}", self.options.host, self.gateway_ports[gateway])
    }

    /// The monitors of all nodes, as `bulkhead admin residency` takes them.
    pub fn monitor_urls(&self) -> Vec<String> {
        self.monitor_ports.iter().map(|port| format!("http://{}:{port}", self.options.host)).collect()
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
        self.processes.push((name, Process::start(&self.binary, &arguments, &log)?));
        Ok(())
    }

    /// The addresses of the Redis shards.
    pub fn shard_urls(&self) -> Vec<String> {
        self.shards.iter().map(RedisServer::url).collect()
    }

    /// A Redis shard (0 or 1).
    pub fn shard(&mut self, shard: usize) -> &mut RedisServer {
        &mut self.shards[shard]
    }

    /// Everything that the processes that run have printed.
    pub fn logs(&self) -> String {
        self.processes.iter().map(|(name, process)| format!("--- {name}\n{}", process.log())).collect()
    }

    /// Returns when both gateways answer.
    pub fn wait_until_both_serve(&self) -> Result<()> {
        let start = Instant::now();
        let gateways = self.gateway_ports.map(|port| SocketAddrV4::new(self.options.host, port));
        while !gateways.into_iter().all(answers) {
            if start.elapsed() > START_LIMIT {
                bail!("the cluster does not serve: {}", self.logs());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn configure(&self) -> Result<()> {
        let folder = self.folder.path();
        let ClusterOptions { region, host, .. } = &self.options;
        let [auth, storage, router_1, router_2] = free_ports(*host)?;
        let data = folder.join("data");
        let data = data.display();
        let shards: Vec<_> = self.shards.iter().map(|shard| format!("\"{}\"", shard.url())).collect();
        let homes: Vec<_> =
            self.options.homes.iter().map(|(region, url)| format!("{region} = \"{url}\"\n")).collect();
        for role in ["storage", "auth", "router", "gateway"] {
            self.certificates.issue(role, &[])?;
        }
        for ((name, role), monitor) in NODES.into_iter().zip(self.monitor_ports) {
            let [gateway_1, gateway_2] = self.gateway_ports;
            let listen = match name {
                "storage" => storage,
                "auth" => auth,
                "router-1" => router_1,
                "router-2" => router_2,
                "gateway-1" => gateway_1,
                _ => gateway_2,
            };
            let more = match role {
                "storage" => format!(
                    "data_dir = \"{data}\"\nregion_key_file = \"{data}/region.key\"\n{}\n",
                    self.options.storage_section
                ),
                "router" => format!(
                    "lease_ms = {LEASE_MS}\n\n[bus]\nkind = \"redis\"\nshards = [{}]\nregion = \"{region}\"\n",
                    shards.join(", ")
                ),
                "gateway" => format!(
                    "app_rate_per_s = 100000\naddress_rate_per_s = 100000\n\n[homes]\n{}",
                    homes.concat()
                ),
                _ => String::new(),
            };
            let settings = format!(
                r#"region = "{region}"

[log]
filter = "info"

[monitor]
listen = "{host}:{monitor}"

[{role}]
listen = "{host}:{listen}"
{more}
[endpoints.auth]
url = "https://{host}:{auth}"
region = "{region}"

[endpoints.router]
url = "https://{host}:{router_1},https://{host}:{router_2}"
region = "{region}"

[endpoints.storage]
url = "https://{host}:{storage}"
region = "{region}"

{identity}
"#,
                identity = self.certificates.section(role),
            );
            std::fs::write(self.configuration(name), settings)?;
        }
        Ok(())
    }
}
