//! The bus between routers: `[bus]`.

use std::path::PathBuf;

use bulkhead_model::Region;
use serde::Deserialize;

use super::Role;
use super::check::Check;

/// The bus of a router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusConfig {
    pub kind: BusKind,
    /// `redis://host:port` or `rediss://host:port`; empty for [`BusKind::Local`].
    pub shards: Vec<String>,
    /// Name of the ACL user and the file with its password.
    pub user: Option<(String, PathBuf)>,
    /// Certificates that those of the shards must come from; `None` for the system's.
    pub tls_ca_file: Option<PathBuf>,
    pub limits: BusLimits,
}

/// Where the bus is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusKind {
    /// Within the process: a region with one router.
    Local,
    /// On independent Redis primaries.
    Redis,
    /// On one Redis Cluster.
    RedisCluster,
}

/// The numbers of the section; units as in the names.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct BusLimits {
    pub receiver_frames_max: usize,
    pub receiver_bytes_max: usize,
    pub shard_frames_max: usize,
    pub shard_bytes_max: usize,
    pub connect_limit_ms: u64,
    pub answer_limit_ms: u64,
    pub ping_interval_ms: u64,
    pub retry_pause_ms_max: u64,
}

/// The values as they stand in the files.
#[derive(Deserialize)]
pub(super) struct RawBus {
    kind: String,
    shards: Vec<String>,
    region: String,
    user: String,
    password_file: String,
    tls_ca_file: String,
    #[serde(flatten)]
    limits: BusLimits,
}

impl Check<'_> {
    /// A shard is an endpoint like any other: the section states its region, and it is the node's.
    pub(super) fn bus(&mut self, role: Role, own: Option<Region>, raw: RawBus) -> Option<BusConfig> {
        if !raw.shards.is_empty() {
            match raw.region.parse::<Region>() {
                Err(_) => self.problem("bus.region", "must state the region of the shards"),
                Ok(stated) if own.is_some_and(|own| own != stated) => {
                    self.problem("bus.region", "is another region than this node's");
                }
                Ok(_) => {}
            }
        }
        if role != Role::Router {
            return None;
        }
        let kind = match raw.kind.as_str() {
            "local" => BusKind::Local,
            "redis" => BusKind::Redis,
            "redis-cluster" => BusKind::RedisCluster,
            _ => {
                self.problem("bus.kind", "must be \"local\", \"redis\" or \"redis-cluster\"");
                return None;
            }
        };
        self.shards(kind, &raw.shards);
        let user = match (raw.user, raw.password_file) {
            (user, file) if user.is_empty() && file.is_empty() => None,
            (user, file) if user.is_empty() => Some(("default".to_owned(), PathBuf::from(file))),
            (_, file) if file.is_empty() => {
                self.problem("bus.password_file", "must be set when bus.user is");
                None
            }
            (user, file) => Some((user, PathBuf::from(file))),
        };
        let limits = &raw.limits;
        self.all_above_zero(
            "bus",
            &[
                ("receiver_frames_max", limits.receiver_frames_max as u64),
                ("receiver_bytes_max", limits.receiver_bytes_max as u64),
                ("shard_frames_max", limits.shard_frames_max as u64),
                ("shard_bytes_max", limits.shard_bytes_max as u64),
                ("connect_limit_ms", limits.connect_limit_ms),
                ("answer_limit_ms", limits.answer_limit_ms),
                ("ping_interval_ms", limits.ping_interval_ms),
                ("retry_pause_ms_max", limits.retry_pause_ms_max),
            ],
        );
        let tls_ca_file = (!raw.tls_ca_file.is_empty()).then(|| PathBuf::from(raw.tls_ca_file));
        Some(BusConfig { kind, shards: raw.shards, user, tls_ca_file, limits: raw.limits })
    }

    fn shards(&mut self, kind: BusKind, shards: &[String]) {
        let key = "bus.shards";
        match (kind, shards.is_empty()) {
            (BusKind::Local, false) => self.problem(key, "is set, but bus.kind is \"local\""),
            (BusKind::Redis | BusKind::RedisCluster, true) => {
                self.problem(key, "must name a shard at the least");
            }
            _ => {}
        }
        if !shards.iter().all(|shard| is_redis_address(shard)) {
            self.problem(key, "must have the form redis://host:port, or rediss://host:port for TLS, each");
        }
        if (1..shards.len()).any(|index| shards[..index].contains(&shards[index])) {
            self.problem(key, "names a shard twice");
        }
    }
}

fn is_redis_address(text: &str) -> bool {
    let rest = text.strip_prefix("rediss://").or_else(|| text.strip_prefix("redis://"));
    let parts = rest.and_then(|rest| rest.rsplit_once(':'));
    parts.is_some_and(|(host, port)| {
        !host.is_empty() && !host.contains(['/', '@', '?', '#', ' ', ',']) && port.parse::<u16>().is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    const ROUTER: &str = r#"
        region = "singapore"
        identity = { insecure = true }
        [endpoints.auth]
        url = "http://127.0.0.1:1"
        region = "singapore"
        [endpoints.storage]
        url = "http://127.0.0.1:2"
        region = "singapore"
    "#;

    fn read(role: Role, bus: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
        let environment = environment.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Config::read(role, "node.toml", &format!("{ROUTER}\n[bus]\nin_the_clear = true\n{bus}"), environment)
            .map_err(|error| error.to_string())
    }

    fn problems(role: Role, bus: &str) -> Vec<String> {
        let text = read(role, bus, &[]).err().expect("the configuration is refused");
        text.lines().skip(1).map(|line| line.trim().to_owned()).collect()
    }

    #[test]
    fn without_a_section_the_bus_is_within_the_process() {
        let bus = read(Role::Router, "", &[]).unwrap().bus.unwrap();
        assert_eq!((bus.kind, bus.shards.len(), bus.user), (BusKind::Local, 0, None));
    }

    #[test]
    fn shards_come_from_the_file_or_the_environment() {
        let file = "kind = \"redis\"\nregion = \"singapore\"\nshards = [\"redis://a:1\", \"rediss://b:2\"]\n\
                    user = \"u\"\npassword_file = \"p\"\ntls_ca_file = \"ca\"";
        let bus = read(Role::Router, file, &[]).unwrap().bus.unwrap();
        assert_eq!(bus.shards, ["redis://a:1", "rediss://b:2"]);
        assert_eq!(bus.user, Some(("u".to_owned(), PathBuf::from("p"))));
        let environment = [("BULKHEAD_BUS__SHARDS", "redis://c:3, redis://d:4")];
        let bus = read(Role::Router, file, &environment).unwrap().bus.unwrap();
        assert_eq!(bus.shards, ["redis://c:3", "redis://d:4"]);
        assert!(
            read(Role::Router, file, &[]).unwrap().configured.iter().any(|one| one.setting == "bus.shards")
        );
    }

    #[test]
    fn every_problem_of_the_section_is_told() {
        assert_eq!(
            problems(Role::Router, "kind = \"redis\"\nuser = \"u\"\nanswer_limit_ms = 0"),
            [
                "bus.shards: must name a shard at the least",
                "bus.password_file: must be set when bus.user is",
                "bus.answer_limit_ms: must be above 0",
            ]
        );
        assert_eq!(problems(Role::Router, "kind = \"nats\"").len(), 1);
        for wrong in ["http://a:1", "redis://a", "redis://u:p@a:1", "redis://a:1/0", "redis://:1"] {
            let bus = format!("kind = \"redis\"\nregion = \"singapore\"\nshards = [\"{wrong}\"]");
            assert_eq!(problems(Role::Router, &bus).len(), 1, "{wrong}");
        }
        let twice = "kind = \"redis\"\nregion = \"singapore\"\nshards = [\"redis://a:1\", \"redis://a:1\"]";
        assert_eq!(problems(Role::Router, twice), ["bus.shards: names a shard twice"]);
    }

    #[test]
    fn shards_of_another_region_are_refused_for_every_role_that_reads_the_file() {
        let bus = "kind = \"redis\"\nshards = [\"redis://a:1\"]\nregion = \"frankfurt\"";
        for role in [Role::Router, Role::Auth] {
            assert!(
                problems(role, bus).contains(&"bus.region: is another region than this node's".to_owned())
            );
        }
        let bus = "kind = \"redis\"\nshards = [\"redis://a:1\"]";
        assert_eq!(problems(Role::Router, bus), ["bus.region: must state the region of the shards"]);
    }
}
