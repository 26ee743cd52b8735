//! Real Redis servers: one on its own, or several as a cluster, which can be killed and started again.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::{Process, free_ports};

/// How long a server may take to answer, or a cluster to agree.
const READY_LIMIT: Duration = Duration::from_secs(30);

/// Attempts at a start on ports that others may take first.
const START_ATTEMPTS_MAX: usize = 5;

/// Lines of a log that an error shows.
const LOG_LINES_SHOWN: usize = 20;

/// Name and password of the user that [`RedisServer::cli`] is, where users are set.
const ADMIN: (&str, &str) = ("testkit", "testkit");

/// How a server is started.
#[derive(Clone, Default)]
pub struct RedisOptions {
    /// Where it listens; loopback when not set. With TLS it must be loopback.
    pub host: Option<Ipv4Addr>,
    /// A user with a password that may do what a bus needs and no more; without one everybody may do everything.
    pub user: Option<(String, String)>,
    /// Certificate, key and certificate authority in PEM files; plain TCP without them.
    pub tls: Option<RedisTls>,
    /// Prepares the server for a cluster.
    pub cluster: bool,
}

impl RedisOptions {
    fn host(&self) -> Ipv4Addr {
        self.host.unwrap_or(Ipv4Addr::LOCALHOST)
    }
}

/// PEM files of a server that speaks TLS only.
#[derive(Clone)]
pub struct RedisTls {
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub authority: PathBuf,
}

/// What the user of a bus may do: these commands, on keys and channels that start with `bh:`.
const USER_RIGHTS: &str = "~bh:* &bh:* -@all +ping +hello +auth +set +get +publish +subscribe \
     +unsubscribe +spublish +ssubscribe +sunsubscribe +evalsha +script|load +time +hexists +hlen +hgetall +hset +hdel \
     +pttl +pexpire +cluster|slots";

/// A `redis-server` with a folder and ports of its own; it keeps nothing on disk but the layout of its cluster.
pub struct RedisServer {
    process: Process,
    options: RedisOptions,
    folder: TempDir,
    port: u16,
    cluster_port: u16,
}

impl RedisServer {
    /// Starts a server and waits until it answers.
    pub fn start(options: RedisOptions) -> Result<Self> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let folder = tempfile::tempdir()?;
            let [port, cluster_port] = free_ports(options.host())?;
            let process = launch(&options, folder.path(), port, cluster_port)?;
            let mut server = Self { process, options: options.clone(), folder, port, cluster_port };
            match server.wait_until_it_answers() {
                Ok(()) => return Ok(server),
                // Another process may have taken a port meanwhile.
                Err(_) if server.process.has_ended() && attempts < START_ATTEMPTS_MAX => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// `redis://127.0.0.1:port`, or `rediss://localhost:port` with TLS.
    pub fn url(&self) -> String {
        match self.options.tls {
            Some(_) => format!("rediss://localhost:{}", self.port),
            None => format!("redis://{}:{}", self.options.host(), self.port),
        }
    }

    /// The port for clients.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// SIGKILL. Everything that it held is gone.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Starts it again on the same ports and waits until it answers.
    pub fn restart(&mut self) -> Result<()> {
        self.process = launch(&self.options, self.folder.path(), self.port, self.cluster_port)?;
        self.wait_until_it_answers()
    }

    /// Stops it where it is: connections stay open and nothing is answered.
    pub fn pause(&self) -> Result<()> {
        self.process.signal("STOP")
    }

    /// Lets it go on.
    pub fn resume(&self) -> Result<()> {
        self.process.signal("CONT")
    }

    /// What `redis-cli` answers to a command, as an administrator.
    pub fn cli(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new("redis-cli");
        command.args(["-p", &self.port.to_string(), "-e"]);
        match &self.options.tls {
            Some(tls) => command.args(["-h", "localhost", "--tls", "--cacert"]).arg(&tls.authority),
            None => command.args(["-h", &self.options.host().to_string()]),
        };
        if self.options.user.is_some() {
            command.args(["--user", ADMIN.0, "--pass", ADMIN.1, "--no-auth-warning"]);
        }
        let output = command.args(arguments).output().context("redis-cli (Debian: redis-tools)")?;
        if !output.status.success() {
            bail!("redis-cli {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// What it has printed so far.
    pub fn log(&self) -> String {
        self.process.log()
    }

    fn wait_until_it_answers(&mut self) -> Result<()> {
        let start = Instant::now();
        loop {
            if self.cli(&["PING"]).is_ok_and(|answer| answer == "PONG") {
                return Ok(());
            }
            if self.process.has_ended() || start.elapsed() > READY_LIMIT {
                let log = self.log();
                let last: Vec<&str> = log.lines().rev().take(LOG_LINES_SHOWN).collect();
                bail!(
                    "redis-server does not answer on port {}; its last lines, newest first: {last:#?}",
                    self.port
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A cluster of primaries without replicas, the slots in equal parts.
pub struct RedisCluster {
    pub nodes: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts the nodes and waits until all of them agree.
    pub fn start(nodes: usize, options: &RedisOptions) -> Result<Self> {
        const SLOTS: usize = 16_384;
        let options = RedisOptions { cluster: true, ..options.clone() };
        let nodes =
            (0..nodes).map(|_| RedisServer::start(options.clone())).collect::<Result<Vec<RedisServer>>>()?;
        for (n, node) in nodes.iter().enumerate() {
            let (first, end) = (n * SLOTS / nodes.len(), (n + 1) * SLOTS / nodes.len());
            node.cli(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &(end - 1).to_string()])?;
            node.cli(&["CLUSTER", "SET-CONFIG-EPOCH", &(n + 1).to_string()])?;
        }
        for other in &nodes[1..] {
            let (port, cluster_port) = (other.port.to_string(), other.cluster_port.to_string());
            nodes[0].cli(&["CLUSTER", "MEET", "127.0.0.1", &port, &cluster_port])?;
        }
        let cluster = Self { nodes };
        cluster.wait_until_all_agree()?;
        Ok(cluster)
    }

    /// Waits until every node sees every slot served.
    pub fn wait_until_all_agree(&self) -> Result<()> {
        let start = Instant::now();
        let known = format!("cluster_known_nodes:{}", self.nodes.len());
        let agrees = |node: &RedisServer| {
            node.cli(&["CLUSTER", "INFO"]).is_ok_and(|info| {
                ["cluster_state:ok", "cluster_slots_ok:16384", &known].iter().all(|line| info.contains(line))
            })
        };
        while !self.nodes.iter().all(agrees) {
            if start.elapsed() > READY_LIMIT {
                bail!("the nodes of the Redis cluster do not agree");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

fn launch(options: &RedisOptions, folder: &Path, port: u16, cluster_port: u16) -> Result<Process> {
    let configuration = folder.join("redis.conf");
    std::fs::write(&configuration, configuration_of(options, folder, port, cluster_port)?)?;
    Process::start(
        Path::new("redis-server"),
        &[configuration.display().to_string()],
        &folder.join("redis.log"),
    )
    .context("redis-server (Debian: redis-server)")
}

fn configuration_of(options: &RedisOptions, folder: &Path, port: u16, cluster_port: u16) -> Result<String> {
    // Protection would refuse whoever is not on loopback, and so hide how a neighbour's node is refused.
    let mut text = format!("bind {}\nprotected-mode no\ndir {}\n", options.host(), folder.display());
    writeln!(text, "save \"\"\nappendonly no")?;
    match &options.tls {
        None => writeln!(text, "port {port}")?,
        Some(tls) => {
            writeln!(text, "port 0\ntls-port {port}\ntls-auth-clients no\ntls-cluster yes")?;
            writeln!(text, "tls-cert-file {}", tls.certificate.display())?;
            writeln!(text, "tls-key-file {}", tls.key.display())?;
            writeln!(text, "tls-ca-cert-file {}", tls.authority.display())?;
        }
    }
    if let Some((user, password)) = &options.user {
        writeln!(text, "user default off")?;
        writeln!(text, "user {} on >{} ~* &* +@all", ADMIN.0, ADMIN.1)?;
        writeln!(text, "user {user} on >{password} {USER_RIGHTS}")?;
    }
    if options.cluster {
        writeln!(text, "cluster-enabled yes\ncluster-port {cluster_port}\ncluster-config-file nodes.conf")?;
        writeln!(text, "cluster-node-timeout 1000\ncluster-require-full-coverage no")?;
    }
    Ok(text)
}
