//! From merged values to a [`Config`]: what a single value or several together must satisfy.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bulkhead_model::Region;
use serde::Deserialize;

use super::bus::RawBus;
use super::engine::RawCql;
use super::gateway::RawGateway;
use super::identity::RawIdentity;
use super::objects::RawObjects;
use super::token_server::RawTokenServer;
use super::traces::RawTelemetry;
use super::{AuthLimits, Config, Endpoints, Log, RegionKeySource, Role, RouterLimits};
use crate::region_key;

/// What argon2id needs at the least (RFC 9106 §3.1: 8 KiB a lane).
const PASSWORD_MEMORY_KIB_MIN: u32 = 8;

/// Shortest lease of a router, in milliseconds.
const ROUTER_LEASE_MS_MIN: u64 = 250;

/// One message's rows must fit in one durable write many times over (`WRITE_MUTATIONS_MAX` of the storage port).
const ROUTER_BATCH_MAX: usize = 1000;

/// The merged values as they stand in the files.
#[derive(Deserialize)]
pub(super) struct Raw {
    pub(super) region: String,
    pub(super) log: Log,
    pub(super) monitor: RawListen,
    telemetry: RawTelemetry,
    pub(super) lifecycle: RawLifecycle,
    identity: RawIdentity,
    gateway: RawGateway,
    homes: BTreeMap<String, String>,
    auth: RawAuth,
    router: RawRouter,
    bus: RawBus,
    storage: RawStorage,
    pub(super) token_server: RawTokenServer,
    endpoints: RawEndpoints,
}

impl Raw {
    /// The region as it is written.
    pub(super) fn region(&self) -> &str {
        &self.region
    }
}

#[derive(Deserialize)]
pub(super) struct RawListen {
    listen: String,
}

#[derive(Deserialize)]
pub(super) struct RawLifecycle {
    pub(super) drain_limit_ms: u64,
}

#[derive(Deserialize)]
struct RawAuth {
    listen: String,
    #[serde(flatten)]
    limits: AuthLimits,
}

#[derive(Deserialize)]
struct RawRouter {
    listen: String,
    #[serde(flatten)]
    limits: RouterLimits,
}

#[derive(Deserialize)]
struct RawStorage {
    listen: String,
    engine: String,
    cql: RawCql,
    data_dir: String,
    region_key_file: String,
    region_key: String,
    objects: RawObjects,
}

#[derive(Deserialize)]
struct RawEndpoints {
    auth: RawEndpoint,
    router: RawEndpoint,
    storage: RawEndpoint,
}

#[derive(Deserialize)]
struct RawEndpoint {
    url: String,
    region: String,
}

/// Checks everything that the role uses. What it answers is only right when no problem was found.
pub(super) fn check(role: Role, raw: Raw, problems: &mut Vec<String>) -> Option<Config> {
    let mut check = Check { problems };
    let region = check.region(&raw.region);
    let listen = match role {
        Role::Gateway => raw.gateway.listen(),
        Role::Auth => &raw.auth.listen,
        Role::Router => &raw.router.listen,
        Role::Storage => &raw.storage.listen,
    };
    let listen = check.address(&format!("{}.listen", role.name()), listen);
    let monitor = check.monitor(&raw.monitor);
    let endpoints = check.endpoints(role, region, &raw.endpoints, raw.identity.insecure);
    let identity = check.identity(role, raw.identity, listen);
    let traces = check.telemetry(region, &raw.telemetry);
    let homes = check.homes(region, &raw.homes);
    let gateway = check.gateway(role, raw.gateway, listen);
    let auth = check.auth(role, raw.auth.limits);
    let router = check.router(role, raw.router.limits, &raw.router.listen);
    let bus = check.bus(role, region, raw.bus);
    let region_key = check.region_key(role, &raw.storage);
    let engine = check.engine(role, region, &raw.storage.engine, raw.storage.cql);
    let objects = check.objects(role, region, raw.storage.objects, &raw.storage.data_dir);
    if raw.storage.data_dir.is_empty() {
        check.problem("storage.data_dir", "must not be empty");
    }
    Some(Config {
        region: region?,
        log: raw.log,
        monitor,
        traces,
        drain_limit: Duration::from_millis(raw.lifecycle.drain_limit_ms),
        listen: listen?,
        identity: identity?,
        configured: Vec::new(),
        gateway,
        auth,
        router,
        bus,
        homes,
        data_dir: PathBuf::from(raw.storage.data_dir),
        region_key,
        engine,
        objects,
        endpoints,
    })
}

pub(super) struct Check<'a> {
    pub(super) problems: &'a mut Vec<String>,
}

impl Check<'_> {
    pub(super) fn problem(&mut self, key: &str, what: &str) {
        self.problems.push(format!("{key}: {what}"));
    }

    pub(super) fn region(&mut self, text: &str) -> Option<Region> {
        if text.is_empty() {
            self.problem("region", "must be set to singapore, frankfurt or virginia");
            return None;
        }
        match text.parse() {
            Ok(region) => Some(region),
            Err(_) => {
                self.problem("region", "must be singapore, frankfurt or virginia");
                None
            }
        }
    }

    pub(super) fn monitor(&mut self, raw: &RawListen) -> Option<SocketAddr> {
        match raw.listen.as_str() {
            "" => None,
            listen => self.address("monitor.listen", listen),
        }
    }

    pub(super) fn address(&mut self, key: &str, text: &str) -> Option<SocketAddr> {
        let address = text.parse().ok();
        if address.is_none() {
            self.problem(key, "must be an address with a port, like 127.0.0.1:8080");
        }
        address
    }

    /// Every endpoint that is given states its region, and it is the node's (design: region pinning, layer 1).
    fn endpoints(
        &mut self,
        role: Role,
        own: Option<Region>,
        raw: &RawEndpoints,
        insecure: bool,
    ) -> Endpoints {
        for (service, endpoint) in
            [(Role::Auth, &raw.auth), (Role::Router, &raw.router), (Role::Storage, &raw.storage)]
        {
            let key = format!("endpoints.{}", service.name());
            if endpoint.url.is_empty() {
                if role.needs().contains(&service) {
                    self.problem(&format!("{key}.url"), &format!("must be set for {}", role.name()));
                }
                continue;
            }
            self.service_addresses(&format!("{key}.url"), &endpoint.url, insecure);
            let key = format!("{key}.region");
            match endpoint.region.parse::<Region>() {
                Err(_) => self.problem(&key, "must state the region of the endpoint"),
                Ok(stated) if own.is_some_and(|own| own != stated) => {
                    self.problem(&key, "is another region than this node's");
                }
                Ok(_) => {}
            }
        }
        let url = |service, endpoint: &RawEndpoint| {
            if role.needs().contains(&service) { endpoint.url.clone() } else { String::new() }
        };
        Endpoints {
            auth: url(Role::Auth, &raw.auth),
            router: url(Role::Router, &raw.router),
            storage: url(Role::Storage, &raw.storage),
        }
    }

    fn homes(&mut self, own: Option<Region>, raw: &BTreeMap<String, String>) -> BTreeMap<Region, String> {
        let mut homes = BTreeMap::new();
        for (name, url) in raw.iter().filter(|(_, url)| !url.is_empty()) {
            if !is_web_address(url) {
                let key = format!("homes.{name}");
                self.problem(&key, "must have the form https://host without a slash at the end");
            }
            // The names are those of the defaults, which are the regions.
            if let Ok(region) = name.parse::<Region>()
                && Some(region) != own
            {
                homes.insert(region, url.clone());
            }
        }
        homes
    }

    fn auth(&mut self, role: Role, limits: AuthLimits) -> AuthLimits {
        if role == Role::Auth {
            let values = [
                ("password_iterations", u64::from(limits.password_iterations)),
                ("password_concurrent_max", limits.password_concurrent_max as u64),
                ("password_waiting_max", limits.password_waiting_max as u64),
                ("password_wait_ms_max", limits.password_wait_ms_max),
                ("cache_ttl_ms", limits.cache_ttl_ms),
                ("apps_cached_max", limits.apps_cached_max),
                ("users_cached_max", limits.users_cached_max),
                ("tokens_cached_max", limits.tokens_cached_max),
            ];
            self.all_above_zero("auth", &values);
            if limits.password_memory_kib < PASSWORD_MEMORY_KIB_MIN {
                self.problem("auth.password_memory_kib", "must be at least 8");
            }
        }
        limits
    }

    fn router(&mut self, role: Role, limits: RouterLimits, listen: &str) -> RouterLimits {
        if role == Role::Router {
            let listen = listen.parse::<std::net::SocketAddr>();
            let listens_everywhere = listen.is_ok_and(|address| address.ip().is_unspecified());
            self.all_above_zero(
                "router",
                &[
                    ("lanes", limits.lanes as u64),
                    ("queue_messages_max", limits.queue_messages_max as u64),
                    ("batch_messages_max", limits.batch_messages_max as u64),
                    ("cached_conversations_max", limits.cached_conversations_max as u64),
                    ("cached_senders_max", limits.cached_senders_max as u64),
                    ("flush_interval_ms", limits.flush_interval_ms),
                    ("call_timeout_ms", limits.call_timeout_ms),
                ],
            );
            if limits.lease_ms < ROUTER_LEASE_MS_MIN {
                self.problem("router.lease_ms", "must be at least 250");
            }
            if limits.advertise_url.is_empty() && listens_everywhere {
                let wrong = "must be set when router.listen is not one address of this machine";
                self.problem("router.advertise_url", wrong);
            }
            if limits.batch_messages_max > ROUTER_BATCH_MAX {
                self.problem("router.batch_messages_max", "must be at most 1000");
            }
        }
        limits
    }

    pub(super) fn all_above_zero(&mut self, section: &str, values: &[(&str, u64)]) {
        for (key, value) in values {
            if *value == 0 {
                self.problem(&format!("{section}.{key}"), "must be above 0");
            }
        }
    }

    fn region_key(&mut self, role: Role, raw: &RawStorage) -> Option<RegionKeySource> {
        if role != Role::Storage {
            return None;
        }
        match (raw.region_key_file.as_str(), raw.region_key.as_str()) {
            ("", "") => {
                let wrong = "must be set, or the key itself by BULKHEAD_STORAGE__REGION_KEY";
                self.problem("storage.region_key_file", wrong);
                None
            }
            (file, "") => Some(RegionKeySource::File(PathBuf::from(file))),
            ("", text) => match region_key::from_hex(text.as_bytes(), "storage.region_key") {
                Ok(key) => Some(RegionKeySource::Environment(key)),
                Err(error) => {
                    self.problems.push(error.to_string());
                    None
                }
            },
            _ => {
                self.problem("storage.region_key", "is set beside storage.region_key_file; set one of them");
                None
            }
        }
    }
}

pub(super) fn is_web_address(url: &str) -> bool {
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', ' ']))
}
