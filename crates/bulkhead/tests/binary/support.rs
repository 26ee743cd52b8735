//! Starts the binary and reads what it prints.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Far more than anything here takes; a test that hits it has found a hang.
const LIMIT: Duration = Duration::from_secs(60);

/// The last line of the screen of `dev`.
const SCREEN_END: &str = "Passwords, certificate and client secret:";

/// A process of the binary; killed when the test lets go of it.
pub(crate) struct Running {
    child: Child,
    out: Receiver<String>,
    err: Receiver<String>,
}

/// What a process left when it ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Running {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, &[])
    }

    pub(crate) fn start_with(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_bulkhead"))
            .args(arguments)
            .env_remove("RUST_LOG")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = lines_of(child.stdout.take().unwrap());
        let err = lines_of(child.stderr.take().unwrap());
        Self { child, out, err }
    }

    /// `dev` on a folder and a free port, when it serves; also answers its screen.
    pub(crate) fn dev(folder: &Path, further: &[&str]) -> (Self, String) {
        Self::dev_with(folder, further, &[])
    }

    pub(crate) fn dev_with(folder: &Path, further: &[&str], environment: &[(&str, &str)]) -> (Self, String) {
        let folder = folder.to_str().unwrap();
        let mut arguments = vec!["dev", "--data-dir", folder, "--listen", "127.0.0.1:0"];
        arguments.extend(further);
        let running = Self::start_with(&arguments, environment);
        let mut screen = String::new();
        loop {
            let line = running.next_out();
            screen.push_str(&line);
            screen.push('\n');
            if line.starts_with(SCREEN_END) {
                return (running, screen);
            }
        }
    }

    /// The JSON document that it prints.
    pub(crate) fn json_out(&self) -> Value {
        let mut text = String::new();
        loop {
            text.push_str(&self.next_out());
            if let Ok(document) = serde_json::from_str(&text) {
                return document;
            }
        }
    }

    fn next_out(&self) -> String {
        self.out.recv_timeout(LIMIT).unwrap_or_else(|_| {
            let err: Vec<_> = self.err.try_iter().collect();
            panic!("the process printed nothing more; on standard error: {err:#?}")
        })
    }

    /// The next line on standard error that contains `text`.
    pub(crate) fn err_line(&self, text: &str) -> String {
        loop {
            let line = self.err.recv_timeout(LIMIT).unwrap_or_else(|_| panic!("no line with {text}"));
            if line.contains(text) {
                return line;
            }
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    /// Asks it to stop and waits for its end.
    pub(crate) fn stop(self) -> Ended {
        self.signal("TERM");
        self.end()
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ended {
        let code = self.wait().code().unwrap_or(-1);
        let rest = |lines: &Receiver<String>| lines.iter().map(|line| line + "\n").collect();
        Ended { code, out: rest(&self.out), err: rest(&self.err) }
    }

    fn wait(&mut self) -> ExitStatus {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(since.elapsed() < LIMIT, "the process does not end");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client that does not wait for ever.
pub(crate) fn http() -> reqwest::Client {
    bulkhead_chassis::tls::install_provider();
    reqwest::Client::builder().timeout(LIMIT).build().unwrap()
}

/// Runs the binary to its end.
pub(crate) fn run(arguments: &[&str]) -> Ended {
    Running::start(arguments).end()
}

/// Runs the binary to its end, which must be a success, and reads the JSON that it prints.
pub(crate) fn run_json(arguments: &[&str]) -> Value {
    let ended = run(arguments);
    assert_eq!(ended.code, 0, "{}", ended.err);
    serde_json::from_str(&ended.out).unwrap()
}

/// The description that `dev` wrote.
pub(crate) fn dev_json(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("dev.json")).unwrap()).unwrap()
}

/// A folder that a region was made in and that no process has open.
pub(crate) fn stopped_region() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (running, _) = Running::dev(folder.path(), &[]);
    assert_eq!(running.stop().code, 0);
    folder
}

fn lines_of(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}
