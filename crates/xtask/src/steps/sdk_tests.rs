//! The unmodified client packages against a running region: each package against each composition.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::steps::binary;
use crate::steps::cluster::Cluster;
use crate::{program, system};

/// npm packages under test; `BULKHEAD_SDK` tells the test files which one to load.
const PACKAGES: &[&str] = &["agora-chat", "easemob-websdk"];

/// `bulkhead dev` in one process for each file, or a cluster that all files of a package share (`BULKHEAD_COMPOSITION`).
const COMPOSITIONS: &[&str] = &["dev", CLUSTER];

const CLUSTER: &str = "cluster";

pub(super) fn run(root: &Path) -> Result<Vec<String>> {
    system::require_node()?;
    system::require_python()?;
    let folder = root.join("tests/sdk");
    program::run(Command::new("npm").current_dir(&folder).args(["ci", "--silent"]))?;
    install_python_library(&folder)?;

    let binary = binary::path(root)?;
    let files = test_files(&folder)?;
    let mut closing = Vec::new();
    for composition in COMPOSITIONS {
        for package in PACKAGES {
            println!("      {package} against {composition}");
            let start = Instant::now();
            let cluster = if *composition == CLUSTER { Some(Cluster::start(&binary)?) } else { None };
            let mut command = Command::new("node");
            command
                .current_dir(&folder)
                .args(["--test", "--test-reporter=spec"])
                .args(&files)
                .env("BULKHEAD_BINARY", &binary)
                .env("BULKHEAD_COMPOSITION", composition)
                .env("BULKHEAD_SDK", package);
            if let Some(cluster) = &cluster {
                command.env("BULKHEAD_CLUSTER", &cluster.description);
            }
            let lines = program::run_and_keep(&mut command, is_closing)?;
            let took = start.elapsed().as_secs_f64();
            closing.push(format!("{package}, {composition}: {} in {took:.1} s", lines.join(", ")));
        }
    }
    Ok(closing)
}

/// A virtual environment beside the tests with the pinned Python packages.
fn install_python_library(folder: &Path) -> Result<()> {
    let python = folder.join(".venv/bin/python");
    if !program::succeeds(Command::new(&python).arg("--version")) {
        program::run(Command::new("python3").current_dir(folder).args(["-m", "venv", "--clear", ".venv"]))?;
    }
    let mut install = Command::new(&python);
    install.current_dir(folder).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    program::run(install.args(["--require-hashes", "--no-deps", "--requirement", "requirements.txt"]))
}

fn test_files(folder: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".test.mjs") {
            files.push(name);
        }
    }
    files.sort();
    if files.is_empty() {
        bail!("no test files in {}", folder.display());
    }
    Ok(files)
}

/// The counts with which Node's spec reporter ends.
fn is_closing(line: &str) -> bool {
    ["tests ", "pass ", "fail ", "skipped "]
        .iter()
        .any(|word| line.strip_prefix("ℹ ").is_some_and(|rest| rest.starts_with(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_the_node_reporter_are_closing_lines() {
        assert!(is_closing("ℹ tests 12"));
        assert!(is_closing("ℹ fail 0"));
        assert!(!is_closing("ℹ duration_ms 12"));
        assert!(!is_closing("✔ tests pass (1 ms)"));
    }
}
