//! `bulkhead chat`: a terminal chat with one other user, over the WebSocket.

mod screen;
mod talk;
mod target;

pub(crate) use target::trust_of;

use std::path::PathBuf;

use bulkhead_model::AppKey;
use clap::Args;

use crate::Failure;

/// Chats in the terminal as one user with another.
#[derive(Args)]
pub(crate) struct ChatArguments {
    /// The user to chat as.
    #[arg(long = "as", value_name = "USER")]
    pub(crate) user: String,
    /// The user to chat with.
    #[arg(long, value_name = "USER")]
    pub(crate) to: String,
    /// REST address of the region; without one, that of the `dev` that wrote dev.json into the data folder.
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Data folder of a `dev` on this machine.
    #[arg(long, value_name = "FOLDER", default_value = ".bulkhead")]
    pub(crate) data_dir: PathBuf,
    /// AppKey; without one, the first app of dev.json.
    #[arg(long, value_name = "ORG#APP")]
    pub(crate) app: Option<AppKey>,
    /// A user token; without one and without a password, one is made with the certificate in dev.json.
    #[arg(long, value_name = "TOKEN", env = "BULKHEAD_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// The user's password.
    #[arg(
        long,
        value_name = "PASSWORD",
        env = "BULKHEAD_PASSWORD",
        hide_env_values = true,
        conflicts_with = "token"
    )]
    pub(crate) password: Option<String>,
    /// PEM file of the certificate authority to believe instead of the system's.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Name of this device: what it has taken is remembered under the name, and two chats of one user at the same time
    /// need two names.
    #[arg(long, value_name = "NAME", default_value = "terminal")]
    pub(crate) device: String,
}

/// Chats until `/quit`, the end of the input, or the end of the session.
pub(crate) async fn run(arguments: ChatArguments) -> Result<(), Failure> {
    let target = target::resolve(&arguments).await?;
    talk::talk(target, &arguments).await
}
