use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use tempfile::TempDir;

use crate::{Process, cassandra_region, free_ports, roles};

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

/// How long a start or a stop may take.
const START_LIMIT: Duration = Duration::from_secs(60);

/// What `dev.json` says of a region; the roles run on a folder that `dev` made, so it describes both compositions.
#[derive(Clone, Debug, Deserialize)]
struct DevFile {
    regions: Vec<DevRegion>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct DevRegion {
    pub(crate) region: String,
    pub(crate) rest_url: String,
    pub(crate) apps: Vec<App>,
}

/// An app of the region, with what its back end knows.
#[derive(Clone, Debug, Deserialize)]
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
#[derive(Clone, Debug, Deserialize)]
pub struct User {
    pub username: String,
    pub password: String,
    pub uuid: String,
}

/// A running region.
pub struct TestRegion {
    binary: PathBuf,
    composition: Composition,
    folder: TempDir,
    dev: DevRegion,
    /// The client port; the same one after a restart, so that clients find the region again.
    port: u16,
    /// What the roles' storage section says beyond the data folder.
    storage_section: String,
    processes: Vec<(&'static str, Process)>,
}

impl TestRegion {
    /// Makes a new region with the apps `demo/chat` (users alice and bob) and `apps`, and waits until it serves.
    pub fn start(binary: &Path, composition: Composition, apps: &[&str]) -> Result<Self> {
        if composition == Composition::RolesOnCassandra {
            return Self::start_on_cassandra(binary, apps);
        }
        let folder = tempfile::tempdir()?;
        let mut dev = start_dev(binary, folder.path(), 0, &arguments_of(apps))?;
        let (_, description) = wait_for_dev_file(folder.path(), &mut dev, None)?;
        let port = port_of(&description.rest_url)?;
        let mut region = Self {
            binary: binary.to_owned(),
            composition,
            folder,
            dev: description,
            port,
            storage_section: String::new(),
            processes: vec![("dev", dev)],
        };
        if composition == Composition::Roles {
            region.stop()?;
            region.start_again()?;
        }
        Ok(region)
    }

    /// As an operator starts a region that no `dev` has made: a keyspace, the roles, then apps and users.
    fn start_on_cassandra(binary: &Path, apps: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let [port] = free_ports(Ipv4Addr::LOCALHOST)?;
        let keyspace = cassandra_region::prepare(binary, folder.path(), port)?;
        let dev = DevRegion {
            region: cassandra_region::REGION.to_owned(),
            rest_url: format!("http://127.0.0.1:{port}"),
            apps: Vec::new(),
        };
        let mut region = Self {
            binary: binary.to_owned(),
            composition: Composition::RolesOnCassandra,
            processes: roles::start(binary, folder.path())?,
            folder,
            dev,
            port,
            storage_section: keyspace.storage_section,
        };
        region.wait_until_it_serves()?;
        region.dev.apps =
            cassandra_region::make_apps(binary, region.folder(), &keyspace.auth_url, port, apps)?;
        Ok(region)
    }

    /// The address of REST, without a trailing slash.
    pub fn rest_url(&self) -> &str {
        &self.dev.rest_url
    }

    /// The address of MSYNC.
    pub fn ws_url(&self) -> String {
        format!("ws://127.0.0.1:{}/websocket", self.port)
    }

    /// The region's name.
    pub fn name(&self) -> &str {
        &self.dev.region
    }

    /// The app `demo/chat`.
    pub fn app(&self) -> &App {
        &self.dev.apps[0]
    }

    /// Every app, in the order in which they were asked for, `demo/chat` first.
    pub fn apps(&self) -> &[App] {
        &self.dev.apps
    }

    /// The folder with data and logs.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The composition it runs in.
    pub fn composition(&self) -> Composition {
        self.composition
    }

    /// The process of a role (`dev` in the one-process form).
    pub fn process(&mut self, role: &str) -> Option<&mut Process> {
        self.processes.iter_mut().find(|(name, _)| *name == role).map(|(_, process)| process)
    }

    /// Everything that the region's processes have printed.
    pub fn logs(&self) -> String {
        self.processes.iter().map(|(_, process)| process.log()).collect()
    }

    /// SIGKILL to every process at once.
    pub fn kill(&mut self) -> Result<()> {
        for (_, process) in &mut self.processes {
            process.kill()?;
        }
        self.processes.clear();
        Ok(())
    }

    /// SIGTERM to every process, gateways first; each must end with exit code 0.
    pub fn stop(&mut self) -> Result<()> {
        for (role, process) in self.processes.iter_mut().rev() {
            let status = process.terminate(START_LIMIT)?;
            if !status.success() {
                bail!("{role} ended with {status}: {}", process.log());
            }
        }
        self.processes.clear();
        Ok(())
    }

    /// Starts what was stopped or killed, on the same data and the same client port.
    pub fn start_again(&mut self) -> Result<()> {
        match self.composition {
            Composition::OneProcess => {
                let before = std::fs::metadata(self.folder.path().join("data/dev.json"))?.modified()?;
                let mut dev = start_dev(&self.binary, self.folder.path(), self.port, &[])?;
                wait_for_dev_file(self.folder.path(), &mut dev, Some(before))?;
                self.processes = vec![("dev", dev)];
            }
            Composition::Roles | Composition::RolesOnCassandra => {
                let folder = self.folder.path();
                roles::configure(&self.binary, folder, &self.dev.region, self.port, &self.storage_section)?;
                self.processes = roles::start(&self.binary, folder)?;
            }
        }
        self.wait_until_it_serves()
    }

    fn wait_until_it_serves(&mut self) -> Result<()> {
        let start = Instant::now();
        loop {
            if roles::answers(SocketAddrV4::new(Ipv4Addr::LOCALHOST, self.port)) {
                return Ok(());
            }
            for (role, process) in &mut self.processes {
                if process.has_ended() {
                    bail!("{role} ended while it started: {}", process.log());
                }
            }
            if start.elapsed() > START_LIMIT {
                bail!("the region does not serve: {}", self.logs());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Makes a region of this name with `dev`, for processes that then go on with its folder.
pub(crate) fn make_dev_region(binary: &Path, folder: &Path, region: &str) -> Result<DevRegion> {
    let mut dev = start_dev(binary, folder, 0, &["--regions".to_owned(), region.to_owned()])?;
    let (_, description) = wait_for_dev_file(folder, &mut dev, None)?;
    let status = dev.terminate(START_LIMIT)?;
    if !status.success() {
        bail!("dev ended with {status}: {}", dev.log());
    }
    Ok(description)
}

fn arguments_of(apps: &[&str]) -> Vec<String> {
    apps.iter().flat_map(|app| ["--app".to_owned(), (*app).to_owned()]).collect()
}

fn start_dev(binary: &Path, folder: &Path, port: u16, further: &[String]) -> Result<Process> {
    let mut arguments = vec![
        "dev".to_owned(),
        "--data-dir".to_owned(),
        folder.join("data").display().to_string(),
        "--listen".to_owned(),
        format!("127.0.0.1:{port}"),
    ];
    arguments.extend_from_slice(further);
    Process::start(binary, &arguments, &folder.join("dev.log"))
}

/// Waits until the file is there (and newer than `before`), which `dev` writes once it listens.
fn wait_for_dev_file(
    folder: &Path,
    dev: &mut Process,
    before: Option<std::time::SystemTime>,
) -> Result<(PathBuf, DevRegion)> {
    let path = folder.join("data/dev.json");
    let start = Instant::now();
    loop {
        let is_new = match (std::fs::metadata(&path).and_then(|meta| meta.modified()), before) {
            (Ok(modified), Some(before)) => modified > before,
            (Ok(_), None) => true,
            (Err(_), _) => false,
        };
        if is_new && let Ok(file) = serde_json::from_slice::<DevFile>(&std::fs::read(&path)?) {
            let region = file.regions.into_iter().next().context("dev.json lists no region")?;
            return Ok((path, region));
        }
        if dev.has_ended() {
            bail!("dev ended while it started: {}", dev.log());
        }
        if start.elapsed() > START_LIMIT {
            bail!("dev does not start: {}", dev.log());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn port_of(url: &str) -> Result<u16> {
    url.rsplit(':').next().and_then(|port| port.parse().ok()).with_context(|| format!("no port in {url}"))
}
