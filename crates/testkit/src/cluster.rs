//! A region as a cluster: two gateways, two routers, auth and storage as processes of their own, and two Redis shards.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::region::{DevRegion, make_dev_region};
use crate::roles::{answers, free_port};
use crate::{App, Certificates, Process, RedisOptions, RedisServer};

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

/// A running cluster.
pub struct TestCluster {
    binary: PathBuf,
    folder: TempDir,
    dev: DevRegion,
    gateway_ports: [u16; 2],
    shards: Vec<RedisServer>,
    processes: Vec<(&'static str, Process)>,
}

impl TestCluster {
    /// Makes a new region with the app `demo/chat` (users alice and bob) and waits until both gateways serve.
    pub fn start(binary: &Path) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let dev = make_dev_region(binary, folder.path())?;
        let shards =
            vec![RedisServer::start(RedisOptions::default())?, RedisServer::start(RedisOptions::default())?];
        let gateway_ports = [free_port()?, free_port()?];
        let mut cluster =
            Self { binary: binary.to_owned(), folder, dev, gateway_ports, shards, processes: Vec::new() };
        cluster.configure()?;
        for (name, _) in NODES {
            cluster.start_again(name)?;
        }
        cluster.wait_until_both_serve()?;
        Ok(cluster)
    }

    /// The app `demo/chat`.
    pub fn app(&self) -> &App {
        &self.dev.apps[0]
    }

    /// The address of REST at one of the two gateways (0 or 1).
    pub fn rest_url(&self, gateway: usize) -> String {
        format!("http://127.0.0.1:{}", self.gateway_ports[gateway])
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
        let config = self.folder.path().join(format!("{name}.toml")).display().to_string();
        let arguments = [role.to_owned(), "--config".to_owned(), config];
        let log = self.folder.path().join(format!("{name}.log"));
        self.processes.push((name, Process::start(&self.binary, &arguments, &log)?));
        Ok(())
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
        while !self.gateway_ports.iter().all(|port| answers(*port)) {
            if start.elapsed() > START_LIMIT {
                bail!("the cluster does not serve: {}", self.logs());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn configure(&self) -> Result<()> {
        let folder = self.folder.path();
        let region = &self.dev.region;
        let [auth, storage, router_1, router_2] = [free_port()?, free_port()?, free_port()?, free_port()?];
        let data = folder.join("data");
        let data = data.display();
        let shards: Vec<_> = self.shards.iter().map(|shard| format!("\"{}\"", shard.url())).collect();
        let certificates = Certificates::of(&self.binary, &folder.join("certificates"), region)?;
        for role in ["storage", "auth", "router", "gateway"] {
            certificates.issue(role, &[])?;
        }
        for (name, role) in NODES {
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
                "storage" => format!("data_dir = \"{data}\"\nregion_key_file = \"{data}/region.key\"\n"),
                "router" => format!(
                    "lease_ms = {LEASE_MS}\n\n[bus]\nkind = \"redis\"\nshards = [{}]\nregion = \"{region}\"\n",
                    shards.join(", ")
                ),
                "gateway" => "app_rate_per_s = 100000\naddress_rate_per_s = 100000\n".to_owned(),
                _ => String::new(),
            };
            let settings = format!(
                r#"region = "{region}"

[log]
filter = "info"

[{role}]
listen = "127.0.0.1:{listen}"
{more}
[endpoints.auth]
url = "https://127.0.0.1:{auth}"
region = "{region}"

[endpoints.router]
url = "https://127.0.0.1:{router_1},https://127.0.0.1:{router_2}"
region = "{region}"

[endpoints.storage]
url = "https://127.0.0.1:{storage}"
region = "{region}"

{identity}
"#,
                identity = certificates.section(role),
            );
            std::fs::write(folder.join(format!("{name}.toml")), settings)?;
        }
        Ok(())
    }
}
