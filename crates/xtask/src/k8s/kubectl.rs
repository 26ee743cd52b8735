use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// `kubectl` as the administrator of one API server.
pub(super) struct Kubectl {
    pub(super) folder: PathBuf,
}

impl Kubectl {
    /// Runs a command and answers its output. A warning is an error: nothing here is to be nearly right.
    pub(super) fn run(&self, arguments: &[&str]) -> Result<String> {
        self.ask(arguments, None)
    }

    /// Applies a file with strict validation.
    pub(super) fn apply(&self, file: &Path, how: &[&str]) -> Result<()> {
        let file = file.display().to_string();
        let mut arguments = vec!["apply", "--validate=strict", "-f", &file];
        arguments.extend(how);
        self.run(&arguments).map(|_| ())
    }

    /// Runs a command with one object as its input.
    pub(super) fn feed(&self, arguments: &[&str], object: &Value) -> Result<String> {
        self.ask(arguments, Some(object))
    }

    fn ask(&self, arguments: &[&str], input: Option<&Value>) -> Result<String> {
        let mut child = Command::new("kubectl")
            .args(arguments)
            .env("KUBECONFIG", self.folder.join("kubeconfig"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start kubectl")?;
        let mut stdin = child.stdin.take().context("standard input was asked for")?;
        if let Some(input) = input {
            stdin.write_all(input.to_string().as_bytes())?;
        }
        drop(stdin);
        let output = child.wait_with_output()?;
        let errors = String::from_utf8_lossy(&output.stderr);
        let answer = String::from_utf8(output.stdout)?;
        if !output.status.success() || errors.contains("Warning:") {
            bail!("kubectl {}: {}{}", arguments.join(" "), answer, errors.trim());
        }
        Ok(answer)
    }
}
