//! The binary's library: the only place that knows every crate.
//!
//! [`compose`] puts a region together in one process, `roles` runs one service of a cluster, `dev` runs whole regions
//! for a developer, and `admin` changes the apps of a region.

mod admin;
mod arguments;
mod bench;
pub mod bus;
mod chat;
mod compose;
mod cql;
mod dev;
mod failure;
mod health;
mod listen;
mod roles;
mod token_server;
mod tokens;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};
pub use compose::{REGION_KEY_FILE, RegionInProcess, RegionOptions};
pub use failure::Failure;

/// Exit code for arguments that are not understood (`EX_USAGE`).
const USAGE: u8 = 64;

/// Reads the command line, does what it says, and answers the process's exit code.
pub fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(answer) => {
            // Also how clap answers --help and --version, which are no failure.
            let code = if answer.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
            let _ = answer.print();
            return code;
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::io(format!("the runtime cannot start: {error}")).report(),
    };
    let outcome = runtime.block_on(async {
        match arguments.command {
            Command::Dev(arguments) => dev::run(arguments).await,
            Command::Gateway(arguments) => roles::gateway::run(&arguments.config).await,
            Command::Auth(arguments) => roles::auth::run(&arguments.config).await,
            Command::Router(arguments) => roles::router::run(&arguments.config).await,
            Command::Storage(arguments) => roles::storage::run(&arguments.config).await,
            Command::TokenServer(arguments) => token_server::run(&arguments.config).await,
            Command::Admin(arguments) => admin::run(arguments).await,
            Command::Health(arguments) => health::run(arguments).await,
            Command::Chat(arguments) => chat::run(arguments).await,
            Command::Bench(arguments) => bench::run(arguments).await,
        }
    });
    // A thread that still waits for a disk or a name server must not hold the process.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
