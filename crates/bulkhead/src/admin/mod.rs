//! `bulkhead admin`: the apps of a region and their tokens, the region's authority, and the report of where data can go.
//! An app's region is fixed when it is created; there is no command that changes it.

mod app;
mod app_tokens;
mod ca;
mod ca_provision;
mod migrate;
mod reach;
mod residency;
mod retention;
mod token;

use std::path::PathBuf;

use bulkhead_model::Region;
use clap::{Args, Subcommand};

use crate::Failure;
pub(crate) use app::{no_certificate_warning, walk_apps};

/// How to reach the region, and what to do there.
#[derive(Args)]
pub(crate) struct AdminArguments {
    #[command(flatten)]
    reach: ReachArguments,
    #[command(subcommand)]
    command: AdminCommand,
}

#[derive(Args)]
struct ReachArguments {
    /// Address of the auth service of a running region, like https://127.0.0.1:7101. Needs the three files of a
    /// certificate for the service "console"; a region without certificates is reached over http:// on loopback.
    #[arg(long, global = true, value_name = "URL", conflicts_with = "data_dir")]
    auth: Option<String>,
    /// The region's authority, for --auth.
    #[arg(long, global = true, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// The certificate, for --auth.
    #[arg(long, global = true, value_name = "FILE")]
    certificate_file: Option<PathBuf>,
    /// The certificate's key, for --auth.
    #[arg(long, global = true, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Data folder of a region of `bulkhead dev` that is not running.
    #[arg(long, global = true, value_name = "FOLDER", default_value = ".bulkhead")]
    data_dir: PathBuf,
    /// The region that is expected there; any other is refused.
    #[arg(long, global = true, default_value_t = Region::Singapore)]
    region: Region,
    /// Prints JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum AdminCommand {
    /// Apps of the region.
    #[command(subcommand)]
    App(app::AppCommand),
    /// AccessToken2, as an app's back end builds it, and taking tokens back.
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// The region's certificate authority and the certificates of its services.
    #[command(subcommand)]
    Ca(ca::CaCommand),
    /// Makes or updates the keyspace of the cql engine; nothing else changes a schema.
    Migrate(migrate::MigrateArguments),
    /// What is kept of an app: how much of each class, how old the oldest is, and what goes next.
    Retention(retention::RetentionArguments),
    /// Every address that nodes are configured for and have dialled, with their regions; exit code 1 when one of them is
    /// not of the node's region.
    Residency(residency::ResidencyArguments),
}

/// Does one administrative thing.
pub(crate) async fn run(arguments: AdminArguments) -> Result<(), Failure> {
    match arguments.command {
        AdminCommand::App(command) => app::run(&arguments.reach, command).await,
        AdminCommand::Token(command) => token::run(&arguments.reach, command).await,
        AdminCommand::Ca(command) => ca::run(&arguments.reach, command),
        AdminCommand::Migrate(command) => migrate::run(arguments.reach.json, command).await,
        AdminCommand::Retention(command) => retention::run(&arguments.reach, command).await,
        AdminCommand::Residency(command) => residency::run(arguments.reach.json, command).await,
    }
}
