//! The tasks of the repository: `cargo xtask test`, `tidy`, `codegen`, and the two that need more of a machine, `k8s` and
//! `docker`.

mod codegen;
mod config_page;
mod docker;
mod k8s;
mod program;
mod steps;
mod system;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The tasks of the repository.")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Runs every check and every test, in order, and stops at the first failure.
    Test,
    /// Checks the direction of the dependencies and the state of the files.
    Tidy,
    /// Applies every overlay of `k8s/` to a real Kubernetes API server, which it builds.
    K8s,
    /// Builds the image and runs a region of `deploy/docker` with it, on a Docker engine of its own.
    Docker,
    /// Writes what is generated: code from `proto/`, `docs/config.md` from the default configuration.
    Codegen,
}

fn main() -> ExitCode {
    let root = root();
    let outcome = match Arguments::parse().task {
        Task::Test => steps::run_all(&root),
        Task::Tidy => tidy::run(&root),
        Task::K8s => k8s::run(&root),
        Task::Docker => docker::run(&root),
        Task::Codegen => codegen::write().and_then(|()| config_page::write(&root)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The root of the repository.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}
