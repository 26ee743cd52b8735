//! Configuration: defaults, then a file, then the environment.
//!
//! `deploy/config/default.toml` is embedded, lists every key and is the reference: a key that it does not have is
//! refused, and a value must be of the kind that it has there. Every problem is reported, not only the first.

mod addresses;
mod bus;
mod check;
mod engine;
mod gateway;
mod identity;
mod layers;
mod objects;
mod token_server;
mod traces;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bulkhead_model::Region;
use bulkhead_rpc::Service;
use serde::Deserialize;

use crate::StartError;
use crate::region_key::RegionKeyBytes;
pub use addresses::{ConfiguredAddress, Purpose};
pub use bus::{BusConfig, BusKind, BusLimits};
pub use engine::{CqlConfig, EngineConfig, PasswordSource};
pub use gateway::{ClientAddressSource, GatewayConfig, GatewayLimits, ProxiesConfig};
pub use identity::IdentityConfig;
pub use objects::{ObjectsConfig, ObjectsPlace, SecretKeySource};
pub use token_server::{TokenServerConfig, TokenServerLimits, TokenServerListen, TokenServerTlsFiles};
pub use traces::TracesConfig;

/// Every key with its default and its explanation.
pub const DEFAULTS: &str = include_str!("../../../../deploy/config/default.toml");

/// The processes of a cluster that a configuration is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Gateway,
    Auth,
    Router,
    Storage,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 4] = [Role::Gateway, Role::Auth, Role::Router, Role::Storage];

    /// The name of the command and of the configuration's section.
    pub fn name(self) -> &'static str {
        match self {
            Role::Gateway => "gateway",
            Role::Auth => "auth",
            Role::Router => "router",
            Role::Storage => "storage",
        }
    }

    /// The services that a process of this role calls (design: five kinds of process).
    fn needs(self) -> &'static [Role] {
        match self {
            Role::Gateway => &[Role::Auth, Role::Router, Role::Storage],
            Role::Auth => &[Role::Storage],
            Role::Router => &[Role::Auth, Role::Storage],
            Role::Storage => &[],
        }
    }

    /// What its certificate says it is.
    pub fn service(self) -> Service {
        match self {
            Role::Gateway => Service::Gateway,
            Role::Auth => Service::Auth,
            Role::Router => Service::Router,
            Role::Storage => Service::Storage,
        }
    }
}

/// The checked configuration of one process.
pub struct Config {
    pub region: Region,
    pub log: Log,
    /// Where operators ask; `None` for nowhere.
    pub monitor: Option<SocketAddr>,
    /// Where traces go; `None` when they are off.
    pub traces: Option<TracesConfig>,
    pub drain_limit: Duration,
    /// The listen address of the role.
    pub listen: SocketAddr,
    /// How the other services know the node.
    pub identity: IdentityConfig,
    /// Every address that the configuration names, whether this role uses it or not.
    pub configured: Vec<ConfiguredAddress>,
    pub gateway: GatewayConfig,
    pub auth: AuthLimits,
    pub router: RouterLimits,
    /// How routers reach each other; `None` for every role but router.
    pub bus: Option<BusConfig>,
    /// Public addresses of the other regions.
    pub homes: BTreeMap<Region, String>,
    pub data_dir: PathBuf,
    /// Where the region key comes from; `None` for every role but storage.
    pub region_key: Option<RegionKeySource>,
    /// Where rows are kept; `None` for every role but storage.
    pub engine: Option<EngineConfig>,
    /// Where attachments are kept; `None` for every role but storage.
    pub objects: Option<ObjectsConfig>,
    /// Addresses of the services that the role needs; each was said to be of this region.
    pub endpoints: Endpoints,
}

/// What is logged, and how.
#[derive(Clone, Debug, Deserialize)]
pub struct Log {
    pub format: LogFormat,
    pub filter: String,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

/// The numbers of the auth service's section; units as in the names.
#[derive(Clone, Debug, Deserialize)]
pub struct AuthLimits {
    pub password_memory_kib: u32,
    pub password_iterations: u32,
    pub password_concurrent_max: usize,
    pub password_waiting_max: usize,
    pub password_wait_ms_max: u64,
    pub cache_ttl_ms: u64,
    pub apps_cached_max: u64,
    pub users_cached_max: u64,
    pub tokens_cached_max: u64,
}

/// The router's section; units as in the names.
#[derive(Clone, Debug, Deserialize)]
pub struct RouterLimits {
    pub lanes: usize,
    pub queue_messages_max: usize,
    pub batch_messages_max: usize,
    pub cached_conversations_max: usize,
    pub cached_senders_max: usize,
    pub flush_interval_ms: u64,
    pub call_timeout_ms: u64,
    /// Empty when gateways reach it at its listen address.
    pub advertise_url: String,
    pub lease_ms: u64,
}

/// Where the region key comes from.
pub enum RegionKeySource {
    File(PathBuf),
    Environment(RegionKeyBytes),
}

/// `https://host:port` of each service, or several with commas between them (`http://` without certificates); empty when
/// the role does not need it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    pub auth: String,
    pub router: String,
    pub storage: String,
}

impl Config {
    /// Reads the configuration of a role from a file and the process's environment. `Io` when the file cannot be read,
    /// `Usage` with every problem that was found.
    pub fn load(role: Role, file: &Path) -> Result<Self, StartError> {
        let text = std::fs::read_to_string(file).map_err(|error| StartError::file(file, &error))?;
        Self::read(role, &file.display().to_string(), &text, std::env::vars())
    }

    /// The same from given texts.
    pub fn read(
        role: Role,
        file_name: &str,
        file: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, StartError> {
        let mut problems = Vec::new();
        let merged = layers::merge(file_name, file, environment, &mut problems);
        let config = merged.and_then(|(raw, values)| {
            let mut config = check::check(role, raw, &mut problems)?;
            config.configured = addresses::addresses_in(&values);
            problems.extend(addresses::in_the_clear_unasked(&values, &config.configured));
            Some(config)
        });
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            _ => Err(StartError::Usage(format!("the configuration is wrong:\n  {}", problems.join("\n  ")))),
        }
    }
}

/// The region and every address of a configuration file and the process's environment, for whoever asks what a node would
/// call, of any role. `Io` when the file cannot be read, `Usage` when it does not read as a configuration.
pub fn addresses_of(file: &Path) -> Result<(String, Vec<ConfiguredAddress>), StartError> {
    let text = std::fs::read_to_string(file).map_err(|error| StartError::file(file, &error))?;
    let mut problems = Vec::new();
    let merged = layers::merge(&file.display().to_string(), &text, std::env::vars(), &mut problems);
    match merged {
        Some((raw, values)) if problems.is_empty() => {
            Ok((raw.region().to_owned(), addresses::addresses_in(&values)))
        }
        _ => Err(StartError::Usage(format!("the configuration is wrong:\n  {}", problems.join("\n  ")))),
    }
}

#[cfg(test)]
mod tests;
