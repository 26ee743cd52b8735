//! `bulkhead admin`: the apps of a region and their tokens. An app's region is fixed when it is created; there is no
//! command that changes it.

mod app;
mod reach;
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
    /// Address of the auth service of a running region, like http://127.0.0.1:7101.
    #[arg(long, global = true, value_name = "URL", conflicts_with = "data_dir")]
    auth: Option<String>,
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
    /// AccessToken2, as an app's back end builds it.
    #[command(subcommand)]
    Token(token::TokenCommand),
}

/// Does one administrative thing.
pub(crate) async fn run(arguments: AdminArguments) -> Result<(), Failure> {
    match arguments.command {
        AdminCommand::App(command) => app::run(&arguments.reach, command).await,
        AdminCommand::Token(command) => token::run(&arguments.reach, command).await,
    }
}
