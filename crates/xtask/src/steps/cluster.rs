//! A region as a cluster, for as long as tests use it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

/// The running `cluster` example of the testkit. It ends with this, and with this process, however that ends.
pub(super) struct Cluster {
    /// One line of JSON: gateways, and how its operator reaches it.
    pub(super) description: String,
    process: Child,
}

impl Cluster {
    /// Starts it with this binary in every role and waits until it serves.
    pub(super) fn start(binary: &Path) -> Result<Self> {
        let program = binary.with_file_name("examples").join("cluster");
        let mut command = Command::new(&program);
        command.arg(binary).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().with_context(|| format!("start {}", program.display()))?;
        let output = process.stdout.take().context("standard output was asked for")?;
        let mut cluster = Self { description: String::new(), process };
        BufReader::new(output).read_line(&mut cluster.description)?;
        if cluster.description.is_empty() {
            bail!("the cluster for the SDK tests did not start; what it said is above");
        }
        Ok(cluster)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The end of its input tells it to end.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
