//! The region of the composition, used as its operator and two of its users use it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::engine::Engine;
use super::images::{BULKHEAD, DATABASE, REDIS};
use crate::program;

/// How long the whole composition may take until it is ready.
const UP_LIMIT: Duration = Duration::from_secs(300);

/// How long a message may take from one terminal to the other.
const MESSAGE_LIMIT: Duration = Duration::from_secs(30);

/// Everything that runs on stand-ins; what these need comes along.
const SERVICES: &[&str] = &["singapore-gateway-1", "singapore-gateway-2"];

const PROJECT: &str = "bulkhead";

/// Starts the composition, makes an app and two users, chats through both gateways, and takes it down.
pub(super) fn run(root: &Path, engine: &Engine, binary: &Path, say: &dyn Fn(&str)) -> Result<()> {
    let stack = Stack::prepare(root, engine)?;
    if let Err(error) = stack.use_it(binary, say) {
        // What the processes said is gone with the engine.
        let _ = stack.compose().arg("ps").status();
        let _ = stack.compose().args(["--no-ansi", "logs", "--tail", "30"]).status();
        return Err(error);
    }
    let down = ["down", "--volumes", "--timeout", "40"];
    program::run(stack.compose().args(down).stdout(Stdio::null()).stderr(Stdio::null()))?;
    say("down");
    Ok(())
}

struct Stack<'a> {
    engine: &'a Engine,
    folder: PathBuf,
}

impl<'a> Stack<'a> {
    /// A copy of `deploy/` with secrets of its own and ports that nobody else has.
    fn prepare(root: &Path, engine: &'a Engine) -> Result<Self> {
        let deploy = engine.folder("stack")?.join("deploy");
        program::run(Command::new("cp").arg("--recursive").arg(root.join("deploy")).arg(&deploy))?;
        let folder = deploy.join("docker");
        let file = folder.join("docker-compose.yml");
        let mut text = fs::read_to_string(&file)?;
        for port in [8080, 8081] {
            let published = format!("\"127.0.0.1:{port}:8080\"");
            ensure!(text.contains(&published), "the composition publishes {port}");
            text = text.replace(&published, "\"127.0.0.1::8080\"");
        }
        fs::write(&file, text)?;
        let _ = fs::remove_dir_all(folder.join("secrets"));
        program::run(Command::new("sh").arg(folder.join("secrets.sh")))?;
        Ok(Self { engine, folder })
    }

    fn use_it(&self, binary: &Path, say: &dyn Fn(&str)) -> Result<()> {
        self.up()?;
        say(
            "a region: certificates, database, tables, storage, auth, two routers on two Redis shards, two gateways",
        );
        let app = self.make_app()?;
        let (first, second) = (self.url("singapore-gateway-1")?, self.url("singapore-gateway-2")?);
        make_users(&first, &app)?;
        say("an app, by the command line with the console's certificate, and two users, by REST");
        chat(binary, &first, &second)?;
        say("a message from alice at one gateway to bob at the other, and one back");
        self.networks_are_closed()?;
        say("a process knows nothing of networks that it is not on, and no way outside");
        Ok(())
    }

    fn compose(&self) -> Command {
        let mut command = self.engine.command("docker-compose");
        command
            .arg("--project-name")
            .arg(PROJECT)
            .arg("--file")
            .arg(self.folder.join("docker-compose.yml"))
            .env("BULKHEAD_IMAGE", BULKHEAD)
            .env("REDIS_IMAGE", REDIS)
            .env("SCYLLA_IMAGE", DATABASE)
            .env("COMPOSE_HTTP_TIMEOUT", "300");
        command
    }

    fn up(&self) -> Result<()> {
        let mut command = self.compose();
        command.args(["up", "--detach", "--no-build"]).args(SERVICES);
        let log = self.folder.join("up.log");
        let mut starting = command.stdout(Stdio::null()).stderr(fs::File::create(&log)?).spawn()?;
        let start = Instant::now();
        loop {
            if let Some(status) = starting.try_wait()? {
                let said = fs::read_to_string(&log)?;
                let said = said.lines().last().unwrap_or_default();
                ensure!(status.success(), "docker-compose up failed ({status}): {said}");
                break;
            }
            if start.elapsed() > UP_LIMIT {
                let _ = starting.kill();
                let _ = starting.wait();
                bail!("the composition does not come up in {UP_LIMIT:?}");
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        for service in SERVICES {
            self.wait_until_healthy(service, start)?;
        }
        Ok(())
    }

    fn wait_until_healthy(&self, service: &str, since: Instant) -> Result<()> {
        let container =
            program::answer(self.compose().args(["ps", "--quiet", service])).context("no container")?;
        loop {
            let asked = ["inspect", "--format", "{{.State.Health.Status}}", &container];
            if self.engine.answer(&asked)? == "healthy" {
                return Ok(());
            }
            ensure!(since.elapsed() < UP_LIMIT, "{service} is not healthy");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Where a gateway is published.
    fn url(&self, service: &str) -> Result<String> {
        let address = program::answer(self.compose().args(["port", service, "8080"]));
        Ok(format!("http://{}", address.with_context(|| format!("{service} is not published"))?))
    }

    /// `bulkhead` in a container of its own on one network.
    fn bulkhead(&self, network: &str, arguments: &[&str]) -> Result<String> {
        let network = format!("{PROJECT}_singapore-{network}");
        let identity = format!("{PROJECT}_singapore-identity-console:/identity:ro");
        let mut all = vec!["run", "--rm", "--network", &network, "--volume", &identity, BULKHEAD];
        all.extend(arguments);
        self.engine.answer(&all)
    }

    fn make_app(&self) -> Result<Value> {
        let console = [
            "admin",
            "--json",
            "--region",
            "singapore",
            "--auth",
            "https://auth:7101",
            "--ca-file",
            "/identity/ca.pem",
            "--certificate-file",
            "/identity/console.pem",
            "--key-file",
            "/identity/console.key",
            "app",
            "create",
            "demo/chat",
        ];
        Ok(serde_json::from_str(&self.bulkhead("auth", &console)?)?)
    }

    /// The database is reached from its own network alone, and none of the internal ones leads out.
    fn networks_are_closed(&self) -> Result<()> {
        let reaches = |network: &str, address: &str| {
            self.bulkhead(network, &["health", "--path", "/healthz", "--monitor", address]).is_ok()
        };
        ensure!(reaches("auth", "auth:7190"), "a process on the network of auth reaches auth");
        for (network, address) in [
            ("auth", "storage:7190"),
            ("auth", "redis-0:6379"),
            ("edge", "auth:7190"),
            ("router", "scylla-client:9042"),
        ] {
            ensure!(!reaches(network, address), "{address} is reached from {network}");
        }
        for network in ["auth", "router", "storage", "redis", "database"] {
            let name = format!("{PROJECT}_singapore-{network}");
            let internal = self.engine.answer(&["network", "inspect", "--format", "{{.Internal}}", &name])?;
            ensure!(internal == "true", "{network} leads outside");
        }
        Ok(())
    }
}

fn make_users(url: &str, app: &Value) -> Result<()> {
    let login = json!({
        "grant_type": "client_credentials",
        "client_id": app["client_id"],
        "client_secret": app["client_secret"],
    });
    let answer = post(&format!("{url}/demo/chat/token"), &login, None)?;
    let token = answer["access_token"].as_str().with_context(|| format!("no token in {answer}"))?;
    for user in ["alice", "bob"] {
        let user = json!({ "username": user, "password": format!("{user}-password") });
        post(&format!("{url}/demo/chat/users"), &user, Some(token))?;
    }
    Ok(())
}

fn post(url: &str, body: &Value, token: Option<&str>) -> Result<Value> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--fail", "--max-time", "20"]);
    command.args(["--header", "content-type: application/json", "--data", &body.to_string()]);
    if let Some(token) = token {
        command.args(["--header", &format!("authorization: Bearer {token}")]);
    }
    let answer = program::answer(command.arg(url)).with_context(|| format!("{url} does not answer"))?;
    Ok(serde_json::from_str(&answer)?)
}

fn chat(binary: &Path, first: &str, second: &str) -> Result<()> {
    let mut alice = Terminal::open(binary, "alice", "bob", first)?;
    let mut bob = Terminal::open(binary, "bob", "alice", second)?;
    alice.write("hello from the first gateway")?;
    bob.wait_for("hello from the first gateway")?;
    bob.write("and back from the second")?;
    alice.wait_for("and back from the second")
}

/// `bulkhead chat` over pipes; ends with it.
struct Terminal {
    child: Child,
    lines: Receiver<String>,
}

impl Terminal {
    fn open(binary: &Path, user: &str, peer: &str, url: &str) -> Result<Self> {
        let mut child = Command::new(binary)
            .args(["chat", "--as", user, "--to", peer, "--url", url, "--app", "demo#chat"])
            .env("BULKHEAD_PASSWORD", format!("{user}-password"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().context("standard output was asked for")?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, lines })
    }

    fn write(&mut self, line: &str) -> Result<()> {
        let input = self.child.stdin.as_mut().context("standard input was asked for")?;
        Ok(writeln!(input, "{line}")?)
    }

    fn wait_for(&self, text: &str) -> Result<()> {
        loop {
            let line = self.lines.recv_timeout(MESSAGE_LIMIT);
            if line.with_context(|| format!("no line with {text:?}"))?.contains(text) {
                return Ok(());
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
