//! `bulkhead bench`: an open-loop load generator in a process of its own.
//!
//! The server under test is a child process, so that its CPU time and memory are its alone. The generator shares the
//! machine with it and is therefore built to be cheap: one thread, frames made once and patched, WebSocket and protobuf
//! read by hand. Every latency counts from the instant at which a message was meant to be sent, whether or not the
//! generator was late, so that a server that stalls cannot hide it.

mod connect;
mod crowd;
mod direct;
mod direct_sender;
mod direct_stats;
mod disk;
mod fanout;
mod fanout_run;
mod history;
mod http;
mod idle;
mod join;
mod process;
mod receiver;
mod report;
mod server;
mod socket;
mod template;
mod tls;
mod users;
mod window;
mod wire;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::Failure;
use report::Report;
use server::Server;

/// Measures a region under load.
#[derive(Args)]
pub(crate) struct BenchArguments {
    #[command(subcommand)]
    scenario: Scenario,
    /// Prints JSON instead of lines for people.
    #[arg(long, global = true)]
    json: bool,
    /// Seed of everything that is drawn: arrival times and pauses.
    #[arg(long, global = true, default_value_t = 1)]
    seed: u64,
    /// Seconds before measuring starts.
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 3)]
    warm_up: u64,
    /// Seconds of measuring.
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 10)]
    duration: u64,
    /// Over TLS.
    #[arg(long, global = true)]
    tls: bool,
    /// Measures the `dev` that runs on this data folder instead of starting one.
    #[arg(long, global = true, value_name = "FOLDER", requires = "pids")]
    data_dir: Option<PathBuf>,
    /// Process of the server that is measured; can be repeated, the processes are added up.
    #[arg(long = "pid", global = true, value_name = "PID")]
    pids: Vec<u32>,
}

#[derive(Subcommand)]
enum Scenario {
    /// Logins per second, each with a new connection and a user token.
    Connect(connect::ConnectArguments),
    /// Resident memory of idle, logged-in connections.
    Idle(idle::IdleArguments),
    /// Direct messages per second and their latency from send to receipt.
    Direct(direct::DirectArguments),
    /// Deliveries per second to the members of one room or group, and the latency until the last one has a message.
    Fanout(fanout::FanoutArguments),
    /// How long it takes until many who come at once are in a room.
    Join(join::JoinArguments),
    /// Pages of history per second, over REST.
    History(history::HistoryArguments),
}

/// What all scenarios share.
struct Setting {
    server: Server,
    seed: u64,
    warm_up: Duration,
    duration: Duration,
}

/// Runs one scenario and prints its report.
pub(crate) async fn run(arguments: BenchArguments) -> Result<(), Failure> {
    let as_json = arguments.json;
    let report = tokio::task::spawn_blocking(move || on_one_thread(arguments))
        .await
        .map_err(|_| Failure::refused("the generator failed"))??;
    if as_json {
        println!("{}", report.to_json());
    } else {
        print!("{report}");
    }
    Ok(())
}

/// The generator's own runtime: with one thread it takes no more than one core from the server, and its tasks share
/// their counts without locks.
fn on_one_thread(arguments: BenchArguments) -> Result<Report, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::io(format!("the generator cannot start: {error}")))?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let server = match &arguments.data_dir {
            Some(folder) => Server::attach(folder, &arguments.pids)?,
            None => Server::start(arguments.tls).await?,
        };
        let disk = disk::probe(server.folder())?;
        let setting = Setting {
            server,
            seed: arguments.seed,
            warm_up: Duration::from_secs(arguments.warm_up),
            duration: Duration::from_secs(arguments.duration.max(1)),
        };
        let mut report = match &arguments.scenario {
            Scenario::Connect(scenario) => connect::run(&setting, scenario).await?,
            Scenario::Idle(scenario) => idle::run(&setting, scenario).await?,
            Scenario::Direct(scenario) => direct::run(&setting, scenario).await?,
            Scenario::Fanout(scenario) => fanout::run(&setting, scenario).await?,
            Scenario::Join(scenario) => join::run(&setting, scenario).await?,
            Scenario::History(scenario) => history::run(&setting, scenario).await?,
        };
        report.setting("tls", setting.server.is_tls());
        report.setting("seed", arguments.seed);
        report.latency("disk_sync", &disk);
        setting.server.stop().await?;
        Ok(report)
    })
}
