//! The server under test: a child process, or one that runs already.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bulkhead_chassis::{OsEntropy, SystemClock};
use bulkhead_client::{RegionAddress, Rest, TokenBuilder};
use bulkhead_model::AppKey;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::process;
use super::tls::Connector;
use crate::Failure;
use crate::chat::trust_of;
use crate::dev::{DevApp, DevFile};

/// How long a server may take to start, and to stop.
const LIMIT: Duration = Duration::from_secs(60);

/// Where the load goes.
pub(super) struct Server {
    child: Option<Child>,
    /// Where the server stores.
    folder: PathBuf,
    /// The same when it was made here, to be deleted when the run ends.
    _own_folder: Option<TempDir>,
    pids: Vec<u32>,
    pub(super) address: SocketAddr,
    pub(super) connector: Connector,
    pub(super) app: AppKey,
    pub(super) tokens: TokenBuilder,
    pub(super) rest: Rest,
}

impl Server {
    /// Starts `dev` on a folder and a port of its own, without rate limits.
    pub(super) async fn start(with_tls: bool) -> Result<Self, Failure> {
        let folder =
            tempfile::tempdir().map_err(|error| Failure::io(format!("a temporary folder: {error}")))?;
        let program =
            std::env::current_exe().map_err(|error| Failure::io(format!("this program: {error}")))?;
        let mut command = Command::new(program);
        command.args(["dev", "--json", "--without-rate-limits", "--listen", "127.0.0.1:0", "--data-dir"]);
        command.arg(folder.path());
        if with_tls {
            command.arg("--tls");
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| Failure::io(format!("the server cannot be started: {error}")))?;
        let pid = child.id().ok_or_else(|| Failure::refused("the server has ended at once"))?;
        let file = timeout(LIMIT, read_json(&mut child))
            .await
            .map_err(|_| Failure::refused("the server did not start in time"))??;
        let mut server = Self::of(&file, folder.path(), vec![pid])?;
        server.child = Some(child);
        server._own_folder = Some(folder);
        Ok(server)
    }

    /// Uses a `dev` that runs on `folder`.
    pub(super) fn attach(folder: &Path, pids: &[u32]) -> Result<Self, Failure> {
        let path = folder.join("dev.json");
        let text =
            std::fs::read(&path).map_err(|error| Failure::io(format!("{}: {error}", path.display())))?;
        let file = serde_json::from_slice(&text)
            .map_err(|_| Failure::usage(format!("{} is not what dev writes", path.display())))?;
        Self::of(&file, folder, pids.to_vec())
    }

    fn of(file: &DevFile, folder: &Path, pids: Vec<u32>) -> Result<Self, Failure> {
        let region = file.regions.first().ok_or_else(|| Failure::usage("the server names no region"))?;
        let dev_app: &DevApp =
            region.apps.first().ok_or_else(|| Failure::usage("the server names no app"))?;
        let trust = trust_of(folder, region, &region.rest_url);
        let region_address = RegionAddress::new(&region.rest_url, &trust)?;
        let app = dev_app.app_key.parse()?;
        let (_, host) = region.rest_url.split_once("://").unwrap_or_default();
        let address =
            host.parse().map_err(|_| Failure::usage(format!("{host} is not an address and a port")))?;
        let connector = match region.rest_url.starts_with("https:") {
            true => Connector::tls(address, &trust)?,
            false => Connector::plain(address),
        };
        Ok(Self {
            child: None,
            folder: folder.to_path_buf(),
            _own_folder: None,
            pids,
            address,
            connector,
            tokens: TokenBuilder::new(
                &dev_app.app_id.parse()?,
                &dev_app.app_certificate,
                Arc::new(SystemClock),
                Arc::new(OsEntropy),
            ),
            rest: Rest::new(&region_address, &app)?,
            app,
        })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn is_tls(&self) -> bool {
        self.connector.is_tls()
    }

    /// CPU time that the server has used.
    pub(super) fn cpu_time(&self) -> Result<Duration, Failure> {
        process::cpu_time(&self.pids)
    }

    /// Memory that the server holds, in bytes.
    pub(super) fn resident_bytes(&self) -> Result<u64, Failure> {
        process::resident_bytes(&self.pids)
    }

    /// Ends a server that was started here, and makes sure that it ended well.
    pub(super) async fn stop(self) -> Result<(), Failure> {
        let Some(mut child) = self.child else { return Ok(()) };
        if let Some(pid) = child.id() {
            let _ = Command::new("kill").args(["-TERM", &pid.to_string()]).status().await;
        }
        match timeout(LIMIT, child.wait()).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(Failure::refused(format!("the server ended with {status}"))),
            Ok(Err(error)) => Err(Failure::io(format!("the server: {error}"))),
            Err(_) => Err(Failure::refused("the server did not stop in time")),
        }
    }
}

/// The document that `dev --json` prints once it serves.
async fn read_json(child: &mut Child) -> Result<DevFile, Failure> {
    let mut output = child.stdout.take().ok_or_else(|| Failure::refused("the server has no output"))?;
    let mut text = Vec::new();
    loop {
        let count =
            output.read_buf(&mut text).await.map_err(|error| Failure::io(format!("the server: {error}")))?;
        if count == 0 {
            return Err(Failure::refused("the server ended before it served"));
        }
        if let Ok(file) = serde_json::from_slice(&text) {
            return Ok(file);
        }
    }
}
