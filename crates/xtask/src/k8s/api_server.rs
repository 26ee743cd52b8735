use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::kubectl::Kubectl;
use crate::program;

/// How long etcd and the API server may take until they serve.
const START_LIMIT: Duration = Duration::from_secs(90);

/// The version whose modules `crates/xtask/kube-apiserver/go.mod` names.
const VERSION: &str = "v1.34.2";

/// The token of the one user; the server is gone before anybody could use it.
const TOKEN: &str = "only-for-this-run";

/// Builds the API server into the target folder; after the first time, which takes some minutes, from Go's cache.
pub(super) fn build(root: &Path) -> Result<PathBuf> {
    let folder = root.join("crates/xtask/kube-apiserver");
    let binary = root.join("target/kube-apiserver/kube-apiserver");
    let sources = ["main.go", "go.mod", "go.sum"].map(|name| folder.join(name));
    if is_newer(&binary, &sources) {
        return Ok(binary);
    }
    println!("building kube-apiserver {VERSION}; the first time takes some minutes");
    let version = format!("-s -w -X k8s.io/component-base/version.gitVersion={VERSION}");
    let mut command = Command::new("nice");
    command.args(["go", "build", "-mod=readonly", "-trimpath", "-ldflags", &version, "-o"]);
    program::run(command.arg(&binary).arg(".").current_dir(&folder))?;
    Ok(binary)
}

fn is_newer(binary: &Path, sources: &[PathBuf]) -> bool {
    let changed = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    let built = changed(binary);
    built.is_some() && sources.iter().all(|source| changed(source) <= built)
}

/// An API server with its etcd, in a folder of their own; both end with it.
pub(super) struct ApiServer {
    folder: TempDir,
    processes: Vec<Child>,
}

impl ApiServer {
    /// Starts both on free ports of this machine and waits until the server is ready.
    pub(super) fn start(binary: &Path) -> Result<Self> {
        let [clients, peers, port] = free_ports()?;
        let mut server = Self { processes: Vec::new(), folder: TempDir::new()? };
        let folder = server.folder.path().to_owned();
        let (clients, peers) = (format!("http://127.0.0.1:{clients}"), format!("http://127.0.0.1:{peers}"));
        let (key, tokens) = (folder.join("tokens.key"), folder.join("tokens.csv"));
        program::run(
            Command::new("openssl").args(["genrsa", "-out"]).arg(&key).arg("2048").stderr(Stdio::null()),
        )?;
        std::fs::write(&tokens, format!("{TOKEN},administrator,1,system:masters\n"))?;
        std::fs::write(folder.join("kubeconfig"), kubeconfig(port))?;
        server.spawn(
            Command::new("etcd")
                .arg("--data-dir")
                .arg(folder.join("etcd"))
                .args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients])
                .args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers])
                .args(["--initial-cluster", &format!("default={peers}"), "--unsafe-no-fsync"]),
            "etcd",
        )?;
        server.spawn(
            Command::new(binary)
                .arg(format!("--etcd-servers={clients}"))
                .arg(format!("--secure-port={port}"))
                .args(["--bind-address=127.0.0.1", "--authorization-mode=RBAC"])
                .args([
                    "--service-cluster-ip-range=10.0.0.0/24",
                    "--disable-admission-plugins=ServiceAccount",
                ])
                .arg("--service-account-issuer=https://kubernetes.default.svc")
                .arg(format!("--service-account-key-file={}", key.display()))
                .arg(format!("--service-account-signing-key-file={}", key.display()))
                .arg(format!("--token-auth-file={}", tokens.display()))
                .arg(format!("--cert-dir={}", folder.join("certificates").display())),
            "kube-apiserver",
        )?;
        server.wait_until_ready()?;
        Ok(server)
    }

    /// Its administrator's `kubectl`.
    pub(super) fn kubectl(&self) -> Kubectl {
        Kubectl { folder: self.folder.path().to_owned() }
    }

    fn spawn(&mut self, command: &mut Command, name: &str) -> Result<()> {
        let log = File::create(self.folder.path().join(format!("{name}.log")))?;
        let command = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.processes.push(command.spawn().with_context(|| format!("cannot start {name}"))?);
        Ok(())
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let start = Instant::now();
        loop {
            if self.kubectl().run(&["get", "--raw", "/readyz"]).is_ok_and(|answer| answer == "ok") {
                return Ok(());
            }
            let has_ended = self.processes.iter_mut().any(|child| matches!(child.try_wait(), Ok(Some(_))));
            if has_ended || start.elapsed() > START_LIMIT {
                let log = std::fs::read_to_string(self.folder.path().join("kube-apiserver.log"))?;
                let tail: Vec<_> = log.lines().rev().take(5).collect();
                bail!("the API server does not come up: {}", tail.join(" / "));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        for child in self.processes.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn kubeconfig(port: u16) -> String {
    format!(
        r#"apiVersion: v1
kind: Config
clusters: [{{name: here, cluster: {{server: "https://127.0.0.1:{port}", insecure-skip-tls-verify: true}}}}]
users: [{{name: administrator, user: {{token: {TOKEN}}}}}]
contexts: [{{name: here, context: {{cluster: here, user: administrator}}}}]
current-context: here
"#
    )
}

/// Ports that are free now; held together, so that they differ.
fn free_ports() -> Result<[u16; 3]> {
    let listeners = [
        TcpListener::bind("127.0.0.1:0")?,
        TcpListener::bind("127.0.0.1:0")?,
        TcpListener::bind("127.0.0.1:0")?,
    ];
    let mut ports = [0; 3];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}
