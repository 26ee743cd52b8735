use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::program;

/// How long the engine may take until it answers, and until it has ended.
const LIMIT: Duration = Duration::from_secs(60);

/// A Docker engine whose images, containers and socket are in a folder of its own; ends, with all that it runs, when it
/// is dropped. It makes no bridge of the default kind, so it stands beside another engine of the machine.
pub(super) struct Engine {
    folder: TempDir,
    daemon: Child,
}

impl Engine {
    /// Starts the engine and waits until it answers.
    pub(super) fn start() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("bulkhead-docker-").tempdir()?;
        let at = |name: &str| folder.path().join(name);
        let log = File::create(at("log"))?;
        let daemon = Command::new("dockerd")
            .arg("--data-root")
            .arg(at("data"))
            .arg("--exec-root")
            .arg(at("exec"))
            .arg("--pidfile")
            .arg(at("pid"))
            .arg("--host")
            .arg(format!("unix://{}", at("socket").display()))
            .args(["--bridge", "none"])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start dockerd")?;
        let mut engine = Self { folder, daemon };
        let start = Instant::now();
        while !program::succeeds(engine.docker().arg("version")) {
            let has_ended = matches!(engine.daemon.try_wait(), Ok(Some(_)));
            if has_ended || start.elapsed() > LIMIT {
                let log = std::fs::read_to_string(engine.folder.path().join("log"))?;
                let tail: Vec<_> = log.lines().rev().take(5).collect();
                bail!(
                    "dockerd does not come up (it needs root and network namespaces): {}",
                    tail.join(" / ")
                );
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(engine)
    }

    /// `docker`, of this engine.
    pub(super) fn docker(&self) -> Command {
        self.command("docker")
    }

    /// A program that speaks to this engine.
    pub(super) fn command(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        let socket = self.folder.path().join("socket");
        // The builder that is part of the engine: the other one is a download.
        command
            .env("DOCKER_HOST", format!("unix://{}", socket.display()))
            .env("DOCKER_BUILDKIT", "0")
            .env("COMPOSE_DOCKER_CLI_BUILD", "0");
        command
    }

    /// What a command of `docker` prints.
    pub(super) fn answer(&self, arguments: &[&str]) -> Result<String> {
        let answer = program::answer(self.docker().args(arguments));
        answer.with_context(|| format!("`docker {}` failed", arguments.join(" ")))
    }

    /// A new folder that is deleted with the engine.
    pub(super) fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.path().join(name);
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // What it runs first: its networks and mounts go with it.
        if let Some(containers) = program::answer(self.docker().args(["ps", "--all", "--quiet"])) {
            let containers: Vec<_> = containers.split_whitespace().collect();
            program::succeeds(self.docker().args(["rm", "--force", "--volumes"]).args(containers));
        }
        let networks =
            program::answer(self.docker().args(["network", "ls", "--filter", "type=custom", "--quiet"]));
        let networks = networks.unwrap_or_default();
        for network in networks.split_whitespace() {
            program::succeeds(self.docker().args(["network", "rm", network]));
            // A bridge that stays takes its range of addresses from every later engine.
            program::succeeds(Command::new("ip").args(["link", "delete", &format!("br-{network}")]));
        }
        program::succeeds(Command::new("kill").arg(self.daemon.id().to_string()));
        let start = Instant::now();
        while start.elapsed() < LIMIT {
            if matches!(self.daemon.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}
