//! `cargo xtask docker`: the image of `deploy/docker` is built and a region of its composition runs, on a Docker engine
//! that this starts and ends, with folders of its own.
//!
//! No image is fetched. What the real composition takes from registries is put together here from programs of this
//! machine: its Redis, an Apache Cassandra for ScyllaDB, and, in place of the toolchain, one that hands over the binary
//! that was compiled before. Collector, Prometheus and Grafana have no stand-in and are not started; a test parses their
//! part.

mod engine;
mod images;
mod stack;

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::Result;

use crate::{program, steps, system};
use engine::Engine;

/// Names a binary to put into the image in place of one that is built now.
const BINARY: &str = "BULKHEAD_BINARY";

/// Builds, starts, chats, and says what was shown.
pub(crate) fn run(root: &Path) -> Result<()> {
    system::require("dockerd", &["docker.io"], "a Docker engine (Debian: docker.io)")?;
    system::require("docker-compose", &["docker-compose"], "docker-compose 1.29 or newer")?;
    system::require("redis-server", &["redis-server"], "redis-server")?;
    system::require("curl", &["curl"], "curl")?;
    let binary = match std::env::var_os(BINARY) {
        Some(binary) => binary.into(),
        None => {
            program::run(program::cargo().current_dir(root).args([
                "build",
                "--quiet",
                "--package",
                "bulkhead",
            ]))?;
            steps::binary_path(root)?
        }
    };

    let start = Instant::now();
    let say = |what: &str| println!("{:>6.1} s  {what}", start.elapsed().as_secs_f64());
    let engine = Engine::start()?;
    say("a Docker engine of our own");
    images::build(root, &engine, &binary)?;
    say("the image, by its Dockerfile, and stand-ins for what comes from registries");
    no_shell_and_no_root(&engine)?;
    say("the image has no shell and no root");
    stack::run(root, &engine, &binary, &say)
}

fn no_shell_and_no_root(engine: &Engine) -> Result<()> {
    let shell =
        ["run", "--rm", "--network", "none", "--entrypoint", "/bin/sh", images::BULKHEAD, "-c", "exit 0"];
    if program::succeeds(engine.docker().args(shell)) {
        anyhow::bail!("the image has a shell");
    }
    let user = engine.answer(&["image", "inspect", "--format", "{{.Config.User}}", images::BULKHEAD])?;
    if user != "65532:65532" {
        anyhow::bail!("the image runs as {user:?}");
    }
    let mut version: Command = engine.docker();
    program::run(version.args([
        "run",
        "--rm",
        "--network",
        "none",
        "--read-only",
        images::BULKHEAD,
        "--version",
    ]))
}
