//! The network policies repeat the table of who calls whom, and nothing leaves for anywhere but the region's ranges.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::calls::{CALLED, ROLES, callers_of};
use crate::files::{REGIONS, objects};

const NAME: &str = "app.kubernetes.io/name";

fn policy<'a>(objects: &'a [Value], name: &str) -> &'a Value {
    let found = objects.iter().find(|object| {
        object["kind"] == "NetworkPolicy"
            && object["metadata"]["name"] == name
            && !object["metadata"]["namespace"].as_str().unwrap().ends_with("-database")
    });
    &found.unwrap_or_else(|| panic!("no policy {name}"))["spec"]
}

/// The pods of the same namespace that rules of one direction name, with the port.
fn peers<'a>(policy: &'a Value, direction: &str, end: &str) -> BTreeSet<(&'a str, u64)> {
    let mut found = BTreeSet::new();
    for rule in policy[direction].as_array().into_iter().flatten() {
        for peer in rule[end].as_array().into_iter().flatten() {
            if peer.get("namespaceSelector").is_none() {
                for port in rule["ports"].as_array().unwrap() {
                    let name = peer["podSelector"]["matchLabels"][NAME].as_str();
                    found.extend(name.map(|name| (name, port["port"].as_u64().unwrap())));
                }
            }
        }
    }
    found
}

#[test]
fn a_service_is_reached_by_those_that_may_call_it_and_by_nobody_else() {
    let objects = objects(REGIONS[0]);
    for (service, port) in CALLED {
        let policy = policy(&objects, service);
        let expected = callers_of(service).into_iter().map(|caller| (caller, u64::from(port))).collect();
        assert_eq!(peers(policy, "ingress", "from"), expected, "{service}");
        assert_eq!(policy["ingress"].as_array().unwrap().len(), 1, "{service}");
    }
    assert_eq!(peers(policy(&objects, "redis"), "ingress", "from"), [("router", 6379)].into());
}

#[test]
fn a_role_may_go_out_to_what_it_may_call_and_the_router_to_redis() {
    let objects = objects(REGIONS[0]);
    for role in ROLES {
        let called = CALLED.into_iter().filter(|(service, _)| callers_of(service).contains(role));
        let mut expected: BTreeSet<_> = called.map(|(service, port)| (service, u64::from(port))).collect();
        if role == "router" {
            expected.insert(("redis", 6379));
        }
        assert_eq!(peers(policy(&objects, role), "egress", "to"), expected, "{role}");
    }
    assert_eq!(policy(&objects, "redis").get("egress"), None);
}

#[test]
fn what_no_policy_names_is_denied_in_both_directions() {
    for region in REGIONS {
        let namespaces: BTreeSet<_> =
            [format!("bulkhead-{region}"), format!("bulkhead-{region}-database")].into();
        let objects = objects(region);
        let denied = objects.iter().filter(|object| {
            object["metadata"]["name"] == "default-deny"
                && object["spec"]["podSelector"] == serde_json::json!({})
                && object["spec"]["policyTypes"] == serde_json::json!(["Ingress", "Egress"])
                && object["spec"].get("ingress").is_none()
                && object["spec"].get("egress").is_none()
        });
        let denied =
            denied.map(|object| object["metadata"]["namespace"].as_str().unwrap().to_owned()).collect();
        assert_eq!(namespaces, denied);
        for object in objects.iter().filter(|object| object["kind"] == "Namespace") {
            assert!(namespaces.contains(object["metadata"]["name"].as_str().unwrap()));
        }
    }
}

#[test]
fn addresses_outside_of_the_cluster_are_of_the_regions_own_ranges_and_on_named_ports() {
    let mut seen = BTreeSet::new();
    for region in REGIONS {
        // The first number of the region's App IDs, which the example ranges repeat.
        let range = match region {
            "singapore" => "10.61.",
            "frankfurt" => "10.71.",
            _ => "10.41.",
        };
        for object in objects(region).iter().filter(|object| object["kind"] == "NetworkPolicy") {
            for rule in object["spec"]["egress"].as_array().into_iter().flatten() {
                let peers = rule["to"].as_array().expect("an egress rule that names nobody allows everybody");
                for peer in peers {
                    if let Some(block) = peer["ipBlock"]["cidr"].as_str() {
                        assert!(block.starts_with(range), "{region}: {block}");
                        assert!(!rule["ports"].as_array().unwrap().is_empty());
                        seen.insert(block.to_owned());
                    }
                    if let Some(namespace) = peer["namespaceSelector"].as_object() {
                        assert!(!namespace.is_empty(), "{region}: a rule for every namespace");
                    }
                }
            }
        }
    }
    assert_eq!(seen.len(), 6, "the object store and the cluster's API of each region: {seen:?}");
}
