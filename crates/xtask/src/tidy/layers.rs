//! The layers of ARCHITECTURE.md: an arrow between crates only points down.

use cargo_metadata::{DependencyKind, Metadata};

/// A crate, the layer it lives in, and the crates that it may not use although they lie below it.
struct Place {
    package: &'static str,
    layer: u8,
    never: &'static [&'static str],
}

const SERVICES: &[&str] = &["bulkhead-auth", "bulkhead-gateway", "bulkhead-router", "bulkhead-storage"];

/// Highest layer whose crates the client library may use: it stays fit for use outside a server.
const CLIENT_USES_UP_TO: u8 = 1;

const CLIENT: &str = "bulkhead-client";

/// A process of the app's own, which must not depend on what a region is made of.
const TOKEN_SERVER: &str = "bulkhead-token-server";

/// All that the token server may use: the pure crates, the client, and the storage port for its own map.
const TOKEN_SERVER_USES: &[&str] =
    &["bulkhead-model", "bulkhead-token", "bulkhead-seal", "bulkhead-store", CLIENT];

const PLACES: &[Place] = &[
    // Pure: no I/O, no clock, no randomness.
    place("bulkhead-model", 0),
    place("bulkhead-proto", 0),
    place("bulkhead-msync", 1),
    place("bulkhead-token", 1),
    place("bulkhead-seal", 1),
    // Ports.
    place("bulkhead-api", 2),
    place("bulkhead-store", 2),
    place("bulkhead-bus", 2),
    // Adapters.
    place("bulkhead-routers", 3),
    place("bulkhead-rpc", 3),
    place("bulkhead-store-cql", 3),
    place("bulkhead-store-embedded", 3),
    place("bulkhead-bus-redis", 3),
    // Services; the client library beside them.
    place("bulkhead-auth", 4),
    place("bulkhead-router", 4),
    place("bulkhead-storage", 4),
    place("bulkhead-gateway", 4),
    place(CLIENT, 4),
    // Beside a region, not in it.
    place(TOKEN_SERVER, 5),
    // What every process has around its services: it hosts them without knowing one.
    Place { package: "bulkhead-chassis", layer: 5, never: SERVICES },
    // The one place that knows every crate.
    place("bulkhead", 6),
    // Tools: nothing uses them except as a dev-dependency.
    place("bulkhead-testkit", 7),
    place("xtask", 7),
];

const fn place(package: &'static str, layer: u8) -> Place {
    Place { package, layer, never: &[] }
}

/// `from` uses `to` in its code or build script.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Edge {
    pub(super) from: String,
    pub(super) to: String,
}

/// Every edge between workspace crates, and one from each crate to itself so that a crate without edges is seen.
/// Dev-dependencies are free: a test may use what it likes.
pub(super) fn edges_of(metadata: &Metadata) -> Vec<Edge> {
    let names: Vec<&str> = metadata.packages.iter().map(|package| package.name.as_str()).collect();
    let mut edges = Vec::new();
    for package in &metadata.packages {
        edges.push(Edge { from: package.name.to_string(), to: package.name.to_string() });
        for dependency in &package.dependencies {
            if dependency.kind != DependencyKind::Development && names.contains(&dependency.name.as_str()) {
                edges.push(Edge { from: package.name.to_string(), to: dependency.name.clone() });
            }
        }
    }
    edges
}

/// One line for every edge that does not point down and every crate without a layer.
pub(super) fn check(edges: &[Edge]) -> Vec<String> {
    edges.iter().filter_map(|edge| check_edge(&edge.from, &edge.to)).collect()
}

fn check_edge(from: &str, to: &str) -> Option<String> {
    let Some(user) = find(from) else {
        return Some(format!("{from} has no layer: give it one in crates/xtask/src/tidy/layers.rs"));
    };
    if from == to {
        return None;
    }
    let used = find(to)?;
    if used.layer >= user.layer {
        let (below, above) = (user.layer, used.layer);
        return Some(format!("{from} (layer {below}) uses {to} (layer {above}): arrows only point down"));
    }
    if user.never.contains(&to) {
        return Some(format!("{from} uses {to}, which it must not know"));
    }
    if from == CLIENT && used.layer > CLIENT_USES_UP_TO {
        return Some(format!("{from} uses {to}: the client stands on layers 0 and 1 only"));
    }
    if from == TOKEN_SERVER && !TOKEN_SERVER_USES.contains(&to) {
        return Some(format!("{from} uses {to}: the token server knows nothing of a region's inside"));
    }
    None
}

fn find(package: &str) -> Option<&'static Place> {
    PLACES.iter().find(|place| place.package == package)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(from: &str, to: &str) -> Vec<String> {
        check(&[Edge { from: from.to_owned(), to: to.to_owned() }])
    }

    #[test]
    fn an_edge_that_points_down_is_fine() {
        assert!(problems("bulkhead-gateway", "bulkhead-msync").is_empty());
        assert!(problems("bulkhead", "bulkhead-chassis").is_empty());
        assert!(problems("bulkhead-client", "bulkhead-token").is_empty());
    }

    #[test]
    fn an_upward_edge_is_found() {
        assert_eq!(problems("bulkhead-store", "bulkhead-rpc").len(), 1);
        assert_eq!(problems("bulkhead-storage", "bulkhead-chassis").len(), 1);
    }

    #[test]
    fn services_may_not_use_each_other() {
        for from in SERVICES {
            for to in SERVICES.iter().filter(|to| *to != from) {
                assert_eq!(problems(from, to).len(), 1, "{from} → {to}");
            }
        }
    }

    #[test]
    fn the_chassis_may_use_no_service() {
        assert_eq!(problems("bulkhead-chassis", "bulkhead-router").len(), 1);
        assert!(problems("bulkhead-chassis", "bulkhead-api").is_empty());
    }

    #[test]
    fn the_client_stands_on_the_pure_crates_only() {
        assert_eq!(problems("bulkhead-client", "bulkhead-api").len(), 1);
    }

    #[test]
    fn the_token_server_knows_nothing_of_a_regions_inside() {
        for to in SERVICES.iter().chain(&["bulkhead-api", "bulkhead-rpc", "bulkhead-store-embedded"]) {
            assert_eq!(problems(TOKEN_SERVER, to).len(), 1, "{to}");
        }
        for to in TOKEN_SERVER_USES {
            assert!(problems(TOKEN_SERVER, to).is_empty(), "{to}");
        }
    }

    #[test]
    fn a_product_crate_may_not_use_the_tools() {
        assert_eq!(problems("bulkhead", "bulkhead-testkit").len(), 1);
    }

    #[test]
    fn a_crate_without_a_layer_is_found() {
        assert_eq!(problems("bulkhead-utils", "bulkhead-utils").len(), 1);
    }
}
