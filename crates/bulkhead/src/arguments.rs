use std::net::SocketAddr;
use std::path::PathBuf;

use bulkhead_model::{AppKey, Region};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::admin::AdminArguments;
use crate::bench::BenchArguments;
use crate::chat::ChatArguments;
use crate::health::HealthArguments;

/// A self-hosted, regional chat cloud.
#[derive(Parser)]
#[command(name = "bulkhead", version, about, max_term_width = 100)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Runs a whole region in one process, for development.
    Dev(DevArguments),
    /// Runs the gateway of a region: the only service that clients reach.
    Gateway(RoleArguments),
    /// Runs the auth service of a region.
    Auth(RoleArguments),
    /// Runs the router of a region.
    Router(RoleArguments),
    /// Runs the storage service of a region.
    Storage(RoleArguments),
    /// Runs a token server for the back end of one app.
    TokenServer(RoleArguments),
    /// Creates, lists, shows and changes the apps of a region; builds and decodes tokens.
    Admin(AdminArguments),
    /// Asks a running node whether it is ready.
    Health(HealthArguments),
    /// Chats in the terminal, against any region.
    Chat(ChatArguments),
    /// Measures a region under load.
    Bench(BenchArguments),
}

#[derive(Args)]
pub(crate) struct RoleArguments {
    /// Configuration file; deploy/config/default.toml lists and explains every key.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
}

#[derive(Args)]
pub(crate) struct DevArguments {
    /// Folder for everything that is kept; with `--regions all` a folder per region in it.
    #[arg(long, value_name = "FOLDER", default_value = ".bulkhead")]
    pub(crate) data_dir: PathBuf,
    /// Address for clients; with `--regions all` the regions take this port and the two after it.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    /// The region to run, or all three, closed to each other.
    #[arg(long, value_enum, default_value = "singapore")]
    pub(crate) regions: Regions,
    /// Serves HTTPS and WSS with a certificate of a local authority that is made in the data folder.
    #[arg(long)]
    pub(crate) tls: bool,
    /// Prints what dev.json holds instead of the screen for people.
    #[arg(long)]
    pub(crate) json: bool,
    /// Makes a further app; can be repeated.
    #[arg(long = "app", value_name = "ORG/APP")]
    pub(crate) apps: Vec<AppKey>,
    /// Lifts the limits on calls and frames a second, to measure what is left without them.
    #[arg(long, hide = true)]
    pub(crate) without_rate_limits: bool,
}

/// The regions that `dev` runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Regions {
    Singapore,
    Frankfurt,
    Virginia,
    All,
}

impl Regions {
    /// The regions meant, in the order of their ports.
    pub(crate) fn list(self) -> &'static [Region] {
        match self {
            Regions::Singapore => &[Region::Singapore],
            Regions::Frankfurt => &[Region::Frankfurt],
            Regions::Virginia => &[Region::Virginia],
            Regions::All => &Region::ALL,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }
}
