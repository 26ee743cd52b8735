//! Two people chat in their terminals: real processes over pipes, against a real region.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

/// Far more than anything here takes; a test that hits it has found a hang.
const LIMIT: Duration = Duration::from_secs(60);

/// A process whose output is read line by line; killed when the test lets go of it.
struct Program {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    errors: Receiver<String>,
}

impl Program {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_bulkhead"))
            .args(arguments)
            .env_remove("RUST_LOG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take();
        let lines = lines_of(child.stdout.take().unwrap());
        let errors = lines_of(child.stderr.take().unwrap());
        Self { child, input, lines, errors }
    }

    fn write(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    /// The next line that contains `text`.
    fn line_with(&self, text: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(LIMIT).unwrap_or_else(|_| {
                let errors: Vec<_> = self.errors.try_iter().collect();
                panic!("no line with {text:?}; on standard error: {errors:#?}")
            });
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Closes the input and waits for the end: the code, what else it printed, and what on standard error.
    fn end(mut self) -> (Option<i32>, Vec<String>, Vec<String>) {
        drop(self.input.take());
        let rest = self.lines.iter().collect();
        let errors = self.errors.iter().collect();
        (self.child.wait().unwrap().code(), rest, errors)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines_of(stream: impl std::io::Read + Send + 'static) -> Receiver<String> {
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

/// A region that serves, and the folder of its data.
fn region(further: &[&str]) -> (Program, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().to_str().unwrap().to_owned();
    let mut arguments = vec!["dev", "--json", "--listen", "127.0.0.1:0", "--data-dir", &data_dir];
    arguments.extend(further);
    let dev = Program::start(&arguments);
    let mut text = String::new();
    while serde_json::from_str::<Value>(&text).is_err() {
        text.push_str(&dev.line_with(""));
    }
    (dev, folder)
}

fn chat(folder: &Path, user: &str, peer: &str) -> Program {
    let program =
        Program::start(&["chat", "--as", user, "--to", peer, "--data-dir", folder.to_str().unwrap()]);
    program.line_with(&format!("{user} with {peer}"));
    program
}

#[test]
fn two_terminals_exchange_messages_and_see_receipts() {
    let (_dev, folder) = region(&[]);
    let mut alice = chat(folder.path(), "alice", "bob");
    let mut bob = chat(folder.path(), "bob", "alice");
    alice.write("Hello Bob");
    alice.line_with("alice: Hello Bob");
    bob.line_with("alice: Hello Bob");
    alice.line_with("✓✓ read: Hello Bob");
    bob.write("Hello Alice");
    alice.line_with("bob: Hello Alice");
    bob.line_with("✓✓ read: Hello Alice");
    let (code, _, errors) = alice.end();
    assert_eq!((code, errors), (Some(0), vec![]));
}

#[test]
fn a_chat_that_starts_later_shows_what_was_written_once() {
    let (_dev, folder) = region(&[]);
    let mut alice = chat(folder.path(), "alice", "bob");
    for number in 1..=25 {
        alice.write(&format!("number {number}."));
    }
    alice.write("/quit");
    let (code, printed, _) = alice.end();
    assert_eq!(code, Some(0));
    assert_eq!(printed.iter().filter(|line| line.contains("alice: number")).count(), 25);

    let data_dir = folder.path().to_str().unwrap();
    let mut bob = Program::start(&["chat", "--as", "bob", "--to", "alice", "--data-dir", data_dir]);
    for number in 6..=25 {
        assert!(bob.line_with("alice: ").ends_with(&format!("alice: number {number}.")));
    }
    bob.write("/history");
    bob.write("done");
    bob.line_with("bob: done");
    let (_, rest, _) = bob.end();
    let again = rest.iter().filter(|line| line.contains("alice: number 25.")).count();
    assert_eq!(again, 0, "{rest:#?}");
}

#[test]
fn a_password_logs_in_at_an_address() {
    let (_dev, folder) = region(&[]);
    let file: Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("dev.json")).unwrap()).unwrap();
    let region = &file["regions"][0];
    let user = &region["apps"][0]["users"][0];
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (url, password) = (text(&region["rest_url"]), text(&user["password"]));
    let to = ["--to", "bob", "--url", url.as_str(), "--app", "demo#chat"];
    let with = |password: &str| {
        let mut arguments = vec!["chat", "--as", "alice", "--password", password];
        arguments.extend(to);
        Program::start(&arguments)
    };
    let mut alice = with(&password);
    alice.write("by password");
    alice.line_with("alice: by password");
    let (code, _, errors) = with("wrong").end();
    assert_eq!(code, Some(1), "{errors:#?}");
    assert_eq!(errors.len(), 1, "{errors:#?}");
}

#[test]
fn a_chat_believes_the_local_authority_of_dev() {
    let (_dev, folder) = region(&["--tls"]);
    let mut alice = chat(folder.path(), "alice", "bob");
    alice.write("over TLS");
    alice.line_with("alice: over TLS");
}

#[test]
fn without_a_region_it_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().to_str().unwrap();
    let (code, _, errors) =
        Program::start(&["chat", "--as", "alice", "--to", "bob", "--data-dir", data_dir]).end();
    assert_eq!(code, Some(64));
    assert!(errors[0].contains("bulkhead dev"), "{errors:#?}");
}
