//! A token server in a folder of its own, as the operator of an app's back end sets one up.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use bulkhead_testkit::{App, Process, TestRegion, free_ports};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::wire::{Answer, Door, Request};

/// How long a start or a stop may take.
const LIMIT: Duration = Duration::from_secs(60);

/// A token server; killed when the test lets go of it.
pub(crate) struct TokenServer {
    folder: TempDir,
    process: Option<Process>,
    pub(crate) door: Door,
}

impl TokenServer {
    /// One for the region's first app, at a loopback address, when it answers.
    pub(crate) async fn start(region: &TestRegion) -> Result<Self> {
        Self::start_with(region, "").await
    }

    /// The same with further settings of its section.
    pub(crate) async fn start_with(region: &TestRegion, more: &str) -> Result<Self> {
        let [port] = free_ports(Ipv4Addr::LOCALHOST)?;
        let more = format!("listen = \"127.0.0.1:{port}\"\n{more}");
        Self::start_at(region, Door::Tcp(([127, 0, 0, 1], port).into()), &more).await
    }

    /// The same at the door that the settings say.
    pub(crate) async fn start_at(region: &TestRegion, door: Door, more: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        prepare(folder.path(), region.app())?;
        fs::write(config_file(folder.path()), settings(folder.path(), region, more))?;
        let mut server = Self { folder, process: None, door };
        server.start_again().await?;
        Ok(server)
    }

    /// Starts it on what it left.
    pub(crate) async fn start_again(&mut self) -> Result<()> {
        let arguments = arguments(self.folder.path());
        let log = self.folder.path().join("log");
        let mut process = Process::start(crate::binary(), &arguments, &log)?;
        let since = Instant::now();
        while Request::get("/healthz").send(&self.door).await.is_err() {
            if process.has_ended() || since.elapsed() > LIMIT {
                bail!("the token server does not start: {}", process.log());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.process = Some(process);
        Ok(())
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.process.take().map_or(Ok(()), |mut process| process.kill())
    }

    /// SIGTERM; it must end with exit code 0.
    pub(crate) fn stop(&mut self) -> Result<()> {
        let Some(mut process) = self.process.take() else { return Ok(()) };
        let status = process.terminate(LIMIT)?;
        if !status.success() {
            bail!("it ended with {status}: {}", process.log());
        }
        Ok(())
    }

    /// The folder with everything that it has and writes, its log included.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// What `POST /v1/tokens/user` answers.
    pub(crate) async fn ask_for(&self, user: &str) -> Result<Answer> {
        Request::post("/v1/tokens/user", &json!({ "user": user })).send(&self.door).await
    }

    /// The same, which must be a success.
    pub(crate) async fn token_of(&self, user: &str) -> Result<UserToken> {
        let body = self.ask_for(user).await?.ok()?;
        Ok(UserToken {
            token: text(&body, "token")?,
            username: text(&body, "username")?,
            expires_at: body["expires_at"].as_u64().unwrap_or_default(),
        })
    }
}

/// What the server answered.
pub(crate) struct UserToken {
    pub(crate) token: String,
    pub(crate) username: String,
    pub(crate) expires_at: u64,
}

pub(crate) fn text(body: &Value, field: &str) -> Result<String> {
    match body[field].as_str() {
        Some(text) => Ok(text.to_owned()),
        None => bail!("no {field}"),
    }
}

/// Writes the secrets of an app's token server.
pub(crate) fn prepare(folder: &Path, app: &App) -> Result<()> {
    write_secret(&folder.join("primary"), &app.app_certificate)?;
    write_secret(&folder.join("map-key"), &"5e".repeat(32))
}

pub(crate) fn write_secret(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(())
}

/// A whole configuration; `more` are lines of its section.
pub(crate) fn settings(folder: &Path, region: &TestRegion, more: &str) -> String {
    let (app, folder) = (region.app(), folder.display());
    let overruled = |key: &str| more.contains(&format!("{key} = "));
    let mut lines = vec!["region = \"singapore\"\n[token_server]\n".to_owned(), more.to_owned()];
    for (key, value) in [
        ("region", "singapore".to_owned()),
        ("rest_url", region.rest_url()),
        ("app_key", app.app_key.clone()),
        ("app_id", app.app_id.clone()),
        ("app_certificate_file", format!("{folder}/primary")),
        ("map_dir", format!("{folder}/map")),
        ("map_key_file", format!("{folder}/map-key")),
    ] {
        if !overruled(key) {
            lines.push(format!("\n{key} = \"{value}\""));
        }
    }
    lines.concat() + "\n"
}

pub(crate) fn config_file(folder: &Path) -> PathBuf {
    folder.join("token-server.toml")
}

pub(crate) fn arguments(folder: &Path) -> Vec<String> {
    ["token-server", "--config", &config_file(folder).display().to_string()].map(str::to_owned).into()
}
