//! A real Apache Cassandra for tests: one node, a process of its own, killed with the test that started it.
//!
//! Its jars are fetched once, by Maven, into the target folder. A machine without Maven or Java 17 cannot run these tests,
//! and they fail and say so.

use std::fs::{self, File};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use crate::cassandra_jars::{jars, java};
use crate::free_ports;

const YAML: &str = include_str!("../cassandra/cassandra.yaml");
const LOGBACK: &str = include_str!("../cassandra/logback.xml");
const JVM_OPTIONS: &str = include_str!("../cassandra/jvm.options");
const GUARD: &str = include_str!("../cassandra/guard.sh");

/// How long a start may take; on a quiet machine it takes eight seconds.
const START_LIMIT: Duration = Duration::from_secs(180);

/// The data center of the node that is shared.
const SHARED_DATA_CENTER: &str = "singapore";

/// TLS for clients, with a PEM file for key and certificate.
const CLIENT_ENCRYPTION: &str = "client_encryption_options:
  enabled: true
  optional: false
  keystore: @folder@/node.pem
  ssl_context_factory:
    class_name: org.apache.cassandra.security.PEMBasedSslContextFactory";

/// One node of Apache Cassandra with a folder, an address and ports of its own.
pub struct Cassandra {
    data_center: String,
    folder: PathBuf,
    address: SocketAddr,
    guard: Option<(Child, ChildStdin)>,
}

impl Cassandra {
    /// The node that all tests of this process share, in the data center `singapore`; it ends with the process.
    pub fn shared() -> Result<&'static Cassandra> {
        static SHARED: OnceLock<Result<Cassandra, String>> = OnceLock::new();
        let shared =
            SHARED.get_or_init(|| Cassandra::start(SHARED_DATA_CENTER).map_err(|error| format!("{error:#}")));
        shared.as_ref().map_err(|error| anyhow!("{error}"))
    }

    /// Starts a node of a data center and waits until it takes calls. Blocks.
    pub fn start(data_center: &str) -> Result<Self> {
        Self::start_at(data_center, Self::host())
    }

    /// The same at an address of this machine, or of the network namespace that the caller is in.
    pub fn start_at(data_center: &str, host: Ipv4Addr) -> Result<Self> {
        Self::start_with(data_center, host, None)
    }

    /// The same with TLS and users: `pem` is a certificate for [`Cassandra::host`] and its key; the user is `cassandra` with
    /// that password.
    pub fn start_secured(data_center: &str, pem: &str) -> Result<Self> {
        Self::start_with(data_center, Self::host(), Some(pem))
    }

    /// The address of every node that this process starts without naming one; their ports differ.
    pub fn host() -> Ipv4Addr {
        Ipv4Addr::new(127, 0, 0, 2 + (std::process::id() % 250) as u8)
    }

    fn start_with(data_center: &str, host: Ipv4Addr, pem: Option<&str>) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("bulkhead-cassandra-").tempdir()?.keep();
        let [native, storage, ssl_storage] = free_ports(host)?.map(|port| SocketAddr::from((host, port)));
        let (authenticator, client_encryption) = match pem {
            Some(_) => ("PasswordAuthenticator", CLIENT_ENCRYPTION),
            None => ("AllowAllAuthenticator", ""),
        };
        let yaml = YAML
            .replace("@authenticator@", authenticator)
            .replace("@client_encryption@", client_encryption)
            .replace("@address@", &native.ip().to_string())
            .replace("@native_port@", &native.port().to_string())
            .replace("@storage_port@", &storage.port().to_string())
            .replace("@ssl_storage_port@", &ssl_storage.port().to_string())
            .replace("@folder@", &folder.display().to_string());
        fs::write(folder.join("cassandra.yaml"), yaml)?;
        fs::write(folder.join("node.pem"), pem.unwrap_or_default())?;
        fs::write(folder.join("cassandra-rackdc.properties"), format!("dc={data_center}\nrack=one\n"))?;
        fs::write(folder.join("logback.xml"), LOGBACK)?;
        fs::write(folder.join("jvm.options"), JVM_OPTIONS)?;
        fs::write(folder.join("guard.sh"), GUARD)?;
        let mut node = Self { data_center: data_center.to_owned(), folder, address: native, guard: None };
        node.start_again()?;
        Ok(node)
    }

    /// Starts what was killed, on its data and at its address, and waits until it takes calls. Blocks.
    pub fn start_again(&mut self) -> Result<()> {
        let jars = jars()?;
        let folder = self.folder.display();
        // The guard writes a new one; the old one names a process that is gone.
        let _ = fs::remove_file(self.folder.join("pid"));
        let mut guard = Command::new("sh")
            .arg(self.folder.join("guard.sh"))
            .arg(&self.folder)
            .arg(java()?)
            .arg(format!("@{folder}/jvm.options"))
            .arg(format!("-javaagent:{}", agent(&jars)?.display()))
            .arg(format!("-Dcassandra.config=file://{folder}/cassandra.yaml"))
            .arg(format!("-Dcassandra.storagedir={folder}"))
            .arg(format!("-Dlogback.configurationFile={folder}/logback.xml"))
            .arg("-cp")
            .arg(format!("{folder}:{}/*", jars.display()))
            .arg("org.apache.cassandra.service.CassandraDaemon")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(File::options().create(true).append(true).open(self.folder.join("guard.log"))?)
            .spawn()
            .context("start a shell")?;
        let input = guard.stdin.take().context("the shell's input")?;
        self.guard = Some((guard, input));
        self.wait_until_it_answers()
    }

    /// SIGKILL: nothing of it gets a chance to finish.
    pub fn kill(&mut self) -> Result<()> {
        let Some((mut guard, mut input)) = self.guard.take() else { return Ok(()) };
        input.write_all(b"keep\n")?;
        drop(input);
        guard.wait()?;
        Ok(())
    }

    /// SIGSTOP: connections stay open and nothing answers.
    pub fn pause(&self) -> Result<()> {
        self.signal("STOP")
    }

    /// SIGCONT after [`Cassandra::pause`].
    pub fn resume(&self) -> Result<()> {
        self.signal("CONT")
    }

    /// `address:port` for drivers.
    pub fn contact_point(&self) -> String {
        self.address.to_string()
    }

    /// The name of its data center.
    pub fn data_center(&self) -> &str {
        &self.data_center
    }

    /// A name for a keyspace that no other test of this process uses.
    pub fn new_keyspace(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// The folder with its data and its log.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the node has printed so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    fn signal(&self, name: &str) -> Result<()> {
        let process = fs::read_to_string(self.folder.join("pid"))?;
        let status = Command::new("kill").arg(format!("-{name}")).arg(process.trim()).status()?;
        if !status.success() {
            bail!("kill -{name} {} failed", process.trim());
        }
        Ok(())
    }

    fn wait_until_it_answers(&mut self) -> Result<()> {
        let start = Instant::now();
        while TcpStream::connect_timeout(&self.address, Duration::from_secs(1)).is_err() {
            let process = fs::read_to_string(self.folder.join("pid")).unwrap_or_default();
            let has_ended = !process.is_empty() && !Path::new("/proc").join(process.trim()).exists();
            if has_ended || start.elapsed() > START_LIMIT {
                let log = self.log();
                let from = log.lines().count().saturating_sub(30);
                let tail: Vec<_> = log.lines().skip(from).collect();
                bail!("Cassandra does not start; the end of its log:\n{}", tail.join("\n"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Cassandra {
    fn drop(&mut self) {
        match self.guard.take() {
            // The guard sees the end of its input, kills the node and removes the folder.
            Some((mut guard, input)) => {
                drop(input);
                let _ = guard.wait();
            }
            None => drop(fs::remove_dir_all(&self.folder)),
        }
    }
}

/// The jar that Cassandra wants as a Java agent, to know how large its objects are.
fn agent(jars: &Path) -> Result<PathBuf> {
    let mut files = fs::read_dir(jars)?.flatten().map(|entry| entry.path());
    let is_agent = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("jamm-"))
    };
    files.find(is_agent).context("Cassandra's dependencies lack jamm")
}
