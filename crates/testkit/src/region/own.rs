use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use tempfile::TempDir;

use super::{App, Composition};
use crate::operator::{Operator, make_users};
use crate::{Cassandra, Certificates, Process, free_ports, keyspace, roles};

/// How long a start or a stop may take.
const START_LIMIT: Duration = Duration::from_secs(60);

/// What `dev.json` says of a region; the roles run on a folder that `dev` made, so it describes both compositions.
#[derive(Clone, Debug, Deserialize)]
struct DevFile {
    regions: Vec<DevRegion>,
}

#[derive(Clone, Debug, Deserialize)]
struct DevRegion {
    region: String,
    rest_url: String,
    apps: Vec<App>,
}

/// A region of processes that belong to one test.
pub(super) struct OwnRegion {
    /// In the order in which they were asked for, `demo/chat` first.
    pub(super) apps: Vec<App>,
    binary: PathBuf,
    composition: Composition,
    folder: TempDir,
    region: String,
    /// The client port; the same one after a restart, so that clients find the region again.
    pub(super) port: u16,
    /// What the roles' storage section says beyond the data folder.
    storage_section: String,
    processes: Vec<(&'static str, Process)>,
    /// Of roles that run; `dev` listens to no operator.
    pub(super) operator: Option<Operator>,
}

impl OwnRegion {
    /// Makes a new region with the apps `demo/chat` (users alice and bob) and `apps`, and waits until it serves.
    pub(super) fn start(binary: &Path, composition: Composition, apps: &[&str]) -> Result<Self> {
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
            apps: description.apps,
            region: description.region,
            port,
            storage_section: String::new(),
            processes: vec![("dev", dev)],
            operator: None,
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
        let storage_section = keyspace::storage_section(Cassandra::shared()?, keyspace::REGION);
        keyspace::write_region_key(&folder.path().join("data"), keyspace::REGION)?;
        let auth_url = roles::configure(binary, folder.path(), keyspace::REGION, port, &storage_section)?;
        keyspace::migrate(binary, &folder.path().join("storage.toml"))?;
        let mut region = Self {
            binary: binary.to_owned(),
            composition: Composition::RolesOnCassandra,
            processes: roles::start(binary, folder.path())?,
            folder,
            apps: Vec::new(),
            region: keyspace::REGION.to_owned(),
            port,
            storage_section,
            operator: None,
        };
        region.wait_until_it_serves()?;
        let operator =
            region.operator.insert(operator(binary, region.folder.path(), keyspace::REGION, &auth_url)?);
        for name in [keyspace::FIRST_APP].iter().chain(apps) {
            region.apps.push(operator.make_app(name)?);
        }
        make_users(&format!("127.0.0.1:{port}"), &mut region.apps[0])?;
        Ok(region)
    }

    /// The folder with data and logs.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn logs(&self) -> String {
        self.processes.iter().map(|(_, process)| process.log()).collect()
    }

    /// SIGKILL to every process at once.
    pub(super) fn kill(&mut self) -> Result<()> {
        for (_, process) in &mut self.processes {
            process.kill()?;
        }
        self.processes.clear();
        Ok(())
    }

    /// SIGTERM to every process, gateways first; each must end with exit code 0.
    pub(super) fn stop(&mut self) -> Result<()> {
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
    pub(super) fn start_again(&mut self) -> Result<()> {
        match self.composition {
            Composition::OneProcess => {
                let before = std::fs::metadata(self.folder.path().join("data/dev.json"))?.modified()?;
                let mut dev = start_dev(&self.binary, self.folder.path(), self.port, &[])?;
                wait_for_dev_file(self.folder.path(), &mut dev, Some(before))?;
                self.processes = vec![("dev", dev)];
            }
            Composition::Roles | Composition::RolesOnCassandra => {
                let folder = self.folder.path();
                let auth_url =
                    roles::configure(&self.binary, folder, &self.region, self.port, &self.storage_section)?;
                self.operator = Some(operator(&self.binary, folder, &self.region, &auth_url)?);
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

/// Whoever looks after the roles of a folder.
fn operator(binary: &Path, folder: &Path, region: &str, auth_url: &str) -> Result<Operator> {
    let certificates = Certificates::of(binary, &folder.join("certificates"), region)?;
    Operator::new(binary, &certificates, region, auth_url)
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
