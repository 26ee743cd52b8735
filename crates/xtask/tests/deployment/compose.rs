//! `deploy/docker/docker-compose.yml`, compared with the configuration files, with the table of who calls whom, and with
//! itself for the other regions.

use std::collections::{BTreeMap, BTreeSet};

use bulkhead_chassis::{Config, Role};
use serde_json::{Map, Value};

use crate::calls::{CALLED, callers_of};
use crate::files::{REGIONS, read, yaml};

const FILE: &str = "deploy/docker/docker-compose.yml";

fn compose() -> Value {
    yaml(&read(FILE))
}

/// The services of a region by what they are called within it, like `gateway-1`.
fn services_of(region: &str) -> BTreeMap<String, Value> {
    let compose = compose();
    let services = compose["services"].as_object().unwrap().clone();
    let prefix = format!("{region}-");
    services
        .into_iter()
        .filter_map(|(name, service)| Some((name.strip_prefix(&prefix)?.to_owned(), service)))
        .collect()
}

/// The role that a service runs, from its command.
fn role_of(service: &Value) -> Option<Role> {
    let command = service["command"][0].as_str()?;
    Role::ALL.into_iter().find(|role| role.name() == command)
}

fn environment(service: &Value) -> Vec<(String, String)> {
    let variables = service["environment"].as_object().cloned().unwrap_or_default();
    variables.into_iter().map(|(name, value)| (name, value.as_str().unwrap().to_owned())).collect()
}

/// The networks of a service, each without the region, with the names that it has there.
fn networks(region: &str, service: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let prefix = format!("{region}-");
    let own = |name: &str| name.strip_prefix(&prefix).expect("a network of the region").to_owned();
    match &service["networks"] {
        Value::Array(names) => {
            names.iter().map(|name| (own(name.as_str().unwrap()), BTreeSet::new())).collect()
        }
        Value::Object(names) => names
            .iter()
            .map(|(name, how)| {
                let aliases = how["aliases"].as_array().into_iter().flatten();
                (own(name), aliases.map(|alias| alias.as_str().unwrap().to_owned()).collect())
            })
            .collect(),
        _ => BTreeMap::new(),
    }
}

fn depends_on(service: &Value) -> Map<String, Value> {
    service["depends_on"].as_object().cloned().unwrap_or_default()
}

#[test]
fn every_process_starts_with_its_regions_file_and_its_environment() {
    for region in REGIONS {
        let file = format!("deploy/config/{region}.toml");
        let mut roles = Vec::new();
        for (name, service) in services_of(region) {
            let Some(role) = role_of(&service) else { continue };
            let command = serde_json::json!([role.name(), "--config", "/etc/bulkhead/region.toml"]);
            assert_eq!(service["command"], command, "{name}");
            let mount = format!("../config/{region}.toml:/etc/bulkhead/region.toml:ro");
            assert!(service["volumes"].as_array().unwrap().contains(&Value::from(mount)), "{name}");
            let config = Config::read(role, &file, &read(&file), environment(&service));
            let config = config.unwrap_or_else(|error| panic!("{region}-{name}: {error}"));
            assert_eq!(config.region.name(), region);
            assert_eq!(config.monitor.unwrap().to_string(), "0.0.0.0:7190", "what `bulkhead health` asks");
            roles.push(role.name());
        }
        roles.sort_unstable();
        assert_eq!(roles, ["auth", "gateway", "gateway", "router", "router", "storage"], "{region}");
    }
}

#[test]
fn a_published_port_of_a_gateway_leads_to_where_it_listens() {
    let mut published = BTreeSet::new();
    for region in REGIONS {
        let file = format!("deploy/config/{region}.toml");
        for (name, service) in services_of(region) {
            let ports = service["ports"].as_array().cloned().unwrap_or_default();
            assert_eq!(!ports.is_empty(), name.starts_with("gateway") || name == "grafana", "{name}");
            for port in ports {
                let (outside, inside) = port.as_str().unwrap().rsplit_once(':').unwrap();
                let outside =
                    outside.strip_prefix("127.0.0.1:").expect("in the clear for this machine alone");
                assert!(published.insert(outside.to_owned()), "{outside} is published twice");
                if let Some(role) = role_of(&service) {
                    let config = Config::read(role, &file, &read(&file), environment(&service)).unwrap();
                    assert_eq!(config.listen.port().to_string(), inside);
                    assert_eq!(config.gateway.public_url, format!("http://localhost:{outside}"));
                }
            }
        }
    }
    assert_eq!(published.len(), 9);
}

#[test]
fn a_network_is_of_one_region_and_none_but_the_edge_leads_outside() {
    let compose = compose();
    for (name, network) in compose["networks"].as_object().unwrap() {
        assert_eq!(REGIONS.iter().filter(|region| name.starts_with(**region)).count(), 1, "{name}");
        assert_eq!(network["internal"] == true, !name.ends_with("-edge"), "{name}");
    }
    for region in REGIONS {
        for (name, service) in services_of(region) {
            let edge = networks(region, &service).contains_key("edge");
            assert_eq!(edge, service.get("ports").is_some(), "{name}: on the edge is what is published");
        }
    }
}

#[test]
fn a_process_is_on_the_networks_of_what_it_calls_and_on_no_other() {
    for region in REGIONS {
        for (name, service) in services_of(region) {
            let Some(role) = role_of(&service) else { continue };
            let mut expected = BTreeSet::new();
            for (called, _) in CALLED {
                if called == role.name() || callers_of(called).contains(role.name()) {
                    expected.insert(called.to_owned());
                }
            }
            match role {
                Role::Gateway => expected.insert("edge".to_owned()),
                Role::Router => expected.insert("redis".to_owned()),
                Role::Storage => expected.insert("database".to_owned()),
                Role::Auth => false,
            };
            let networks = networks(region, &service);
            assert_eq!(networks.keys().cloned().collect::<BTreeSet<_>>(), expected, "{name}");
            for aliases in networks.values() {
                assert!(aliases.contains(role.name()), "{name} answers to the name of its role");
            }
        }
    }
}

#[test]
fn every_name_that_a_process_calls_is_known_on_a_network_that_it_is_on() {
    for region in REGIONS {
        let file = format!("deploy/config/{region}.toml");
        let services = services_of(region);
        for (name, service) in &services {
            let Some(role) = role_of(service) else { continue };
            let config = Config::read(role, &file, &read(&file), environment(service)).unwrap();
            let own = networks(region, service);
            let known: BTreeSet<String> = services
                .values()
                .flat_map(|other| networks(region, other))
                .filter(|(network, _)| own.contains_key(network))
                .flat_map(|(_, aliases)| aliases)
                .collect();
            let endpoints = [&config.endpoints.auth, &config.endpoints.router, &config.endpoints.storage];
            for url in endpoints.into_iter().filter(|url| !url.is_empty()) {
                let host = url.trim_start_matches("https://").split(':').next().unwrap();
                assert!(known.contains(host), "{name} does not know {host}");
            }
            let of_role: &[&str] = match role {
                Role::Router => &["redis-0", "redis-1", "otel-collector"],
                Role::Storage => &["scylla-client", "otel-collector"],
                Role::Gateway | Role::Auth => &["otel-collector"],
            };
            for host in of_role {
                assert!(known.contains(*host), "{name} does not know {host}");
                assert!(read(&file).contains(host), "{file} names {host}");
            }
        }
    }
}

#[test]
fn a_process_gets_its_own_certificate_and_only_its_own_secrets() {
    for region in REGIONS {
        for (name, service) in services_of(region) {
            let Some(role) = role_of(&service) else { continue };
            let volumes = service["volumes"].as_array().unwrap();
            let identities: Vec<_> = volumes
                .iter()
                .filter_map(Value::as_str)
                .filter(|volume| volume.contains("identity"))
                .collect();
            assert_eq!(identities, [format!("{region}-identity-{}:/identity:ro", role.name())], "{name}");
            let secrets = service["secrets"].as_array().cloned().unwrap_or_default();
            let secrets: Vec<_> = secrets.iter().map(|secret| secret["source"].as_str().unwrap()).collect();
            let expected = match role {
                Role::Router => vec![format!("{region}-redis-password")],
                Role::Storage => vec![format!("{region}-region-key")],
                Role::Gateway | Role::Auth => vec![],
            };
            assert_eq!(secrets, expected, "{name}");
        }
    }
}

#[test]
fn what_runs_of_bulkhead_is_not_root_cannot_write_to_its_image_and_has_no_capability() {
    for region in REGIONS {
        for (name, service) in services_of(region) {
            assert!(service["image"].as_str().unwrap().starts_with("${"), "{name}: an image by a variable");
            if service["image"].as_str().unwrap().starts_with("${BULKHEAD_IMAGE") {
                assert_eq!(service["user"], "65532:65532", "{name}");
                assert_eq!(service["read_only"], true, "{name}");
                assert_eq!(service["cap_drop"], serde_json::json!(["ALL"]), "{name}");
                assert_eq!(service["security_opt"], serde_json::json!(["no-new-privileges:true"]), "{name}");
            }
        }
    }
}

#[test]
fn a_process_starts_when_what_it_needs_is_there() {
    let healthy = |name: &str| (name.to_owned(), "service_healthy");
    let done = |name: &str| (name.to_owned(), "service_completed_successfully");
    for region in REGIONS {
        let services = services_of(region);
        for (name, expected) in [
            ("migrate", vec![healthy("scylla")]),
            ("storage", vec![done("certificates"), done("migrate")]),
            ("auth", vec![healthy("storage")]),
            ("router-1", vec![healthy("auth"), healthy("redis-0"), healthy("redis-1")]),
            ("router-2", vec![healthy("auth"), healthy("redis-0"), healthy("redis-1")]),
            ("gateway-1", vec![healthy("router-1"), healthy("router-2")]),
            ("gateway-2", vec![healthy("router-1"), healthy("router-2")]),
        ] {
            let found = depends_on(&services[name]).into_iter().map(|(on, how)| {
                let on = on.strip_prefix(&format!("{region}-")).expect("of the same region").to_owned();
                (on, how["condition"].as_str().unwrap().to_owned())
            });
            let expected: BTreeSet<_> = expected.into_iter().map(|(on, how)| (on, how.to_owned())).collect();
            assert_eq!(found.collect::<BTreeSet<_>>(), expected, "{region}-{name}");
        }
        for (name, service) in services {
            if role_of(&service).is_some() {
                let asked = serde_json::json!(["CMD", "/usr/local/bin/bulkhead", "health"]);
                assert_eq!(service["healthcheck"]["test"], asked, "{name}");
            }
        }
    }
}

#[test]
fn the_other_regions_are_the_first_one_under_another_name_and_start_with_the_profile_all() {
    let neutral = |region: &str| {
        let mut services = services_of(region);
        for service in services.values_mut() {
            let service = service.as_object_mut().unwrap();
            let profiles = service.remove("profiles");
            let expected = (region != "singapore").then(|| serde_json::json!(["all"]));
            assert_eq!(profiles, expected);
            service.remove("ports");
            if let Some(environment) = service.get_mut("environment").and_then(Value::as_object_mut) {
                environment.remove("BULKHEAD_GATEWAY__PUBLIC_URL");
            }
        }
        serde_json::to_string_pretty(&services).unwrap().replace(region, "REGION")
    };
    let first = neutral(REGIONS[0]);
    for region in REGIONS {
        let own = neutral(region);
        let other = REGIONS.iter().find(|other| **other != region && own.contains(**other));
        assert_eq!(other, None, "{region} has nothing of another region");
        assert_eq!(own, first, "{region}");
    }
    let names = REGIONS.map(|region| services_of(region).len()).iter().sum::<usize>();
    assert_eq!(names, compose()["services"].as_object().unwrap().len(), "every service is of a region");
}
