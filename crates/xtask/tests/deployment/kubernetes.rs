//! The overlays of `k8s/regions`: as they were agreed on, of kinds that exist, and of one region each.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::calls::{CALLED, ROLES};
use crate::files::{REGIONS, name_of, objects, read, rendered, root, texts};
use crate::strict;

/// Set to write the golden files anew.
const WRITE: &str = "BULKHEAD_WRITE_GOLDEN";

/// Secrets that an operator makes (docs/operations.md); all others are cert-manager's.
const OPERATORS_SECRETS: [&str; 4] = ["region-key", "redis", "database", "objects"];

#[test]
fn every_overlay_is_what_it_was_when_it_was_last_looked_at() {
    for region in REGIONS {
        is_as_agreed(region, &rendered(region));
    }
}

/// Compares what was rendered with the golden file of that name.
pub(crate) fn is_as_agreed(name: &str, rendered: &str) {
    let golden = root().join(format!("k8s/golden/{name}.yaml"));
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&golden, rendered).unwrap();
    }
    let golden = std::fs::read_to_string(&golden).unwrap_or_default();
    if let Some((line, (was, is))) =
        golden.lines().zip(rendered.lines()).enumerate().find(|(_, (was, is))| was != is)
    {
        panic!("{name}, line {}: was {was:?}, is {is:?}; look at it, then set {WRITE}=1", line + 1);
    }
    assert_eq!(golden.len(), rendered.len(), "{name}: look at it, then set {WRITE}=1");
}

#[test]
fn every_object_is_of_its_kind_to_the_last_field() {
    for region in REGIONS {
        objects(region).iter().for_each(strict::decode);
    }
}

#[test]
fn no_overlay_names_another_region() {
    for region in REGIONS {
        let mut found = Vec::new();
        for mut object in objects(region) {
            if object["kind"] == "ConfigMap" {
                let file = object["data"]["region.toml"].as_str().unwrap().to_owned();
                object["data"]["region.toml"] = Value::String(without_homes(&file));
            }
            texts(&object, &mut found);
        }
        assert!(found.len() > 1000, "{region}");
        for other in REGIONS.iter().filter(|other| **other != region) {
            for text in &found {
                assert!(!text.contains(other), "{region} names {other}: {text}");
            }
        }
        assert!(found.iter().any(|text| text == &format!("spiffe://bulkhead/{region}/gateway")));
    }
}

/// The configuration without the addresses that are told to clients and never called.
fn without_homes(file: &str) -> String {
    let (before, rest) = file.split_once("\n[homes]\n").unwrap();
    let after = rest.split_once("\n[").unwrap().1;
    assert_eq!(rest.split_once("\n[").unwrap().0.trim().lines().count(), 2, "[homes] is two addresses");
    format!("{before}\n[{after}")
}

#[test]
fn every_overlay_has_the_configuration_of_its_region() {
    for region in REGIONS {
        let copy = read(&format!("k8s/regions/{region}/services/region.toml"));
        assert_eq!(copy, read(&format!("deploy/config/{region}.toml")), "copy deploy/config/{region}.toml");
    }
}

#[test]
fn overlays_differ_by_their_region_and_its_ranges_alone() {
    let neutral = |region: &str| {
        let mut lines: Vec<String> = Vec::new();
        for object in objects(region) {
            if object["kind"] != "ConfigMap" {
                lines.push(serde_json::to_string(&object).unwrap().replace(region, "REGION"));
            }
        }
        let text = lines.join("\n");
        let ranges = ["10.61.0.0", "10.71.0.0", "10.41.0.0"];
        let text = ranges.iter().fold(text, |text, range| text.replace(range, "RANGE"));
        let zones = ["ap-southeast-1", "eu-central-1", "us-east-1"];
        let text = zones.iter().fold(text, |text, zone| text.replace(zone, "CLOUD"));
        // Every object refers to the configuration by a name with its hash.
        let hash = text.split("\"region-").nth(1).map_or("", |rest| &rest[..10]).to_owned();
        text.replace(&hash, "HASH")
    };
    let first = neutral(REGIONS[0]);
    for region in REGIONS {
        assert_eq!(first, neutral(region), "{region}");
    }
}

#[test]
fn workloads_are_restricted_bounded_and_watched() {
    for object in objects(REGIONS[0]) {
        let Some(pod) = object["spec"].get("template").map(|template| &template["spec"]) else { continue };
        let name = name_of(&object);
        assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
        assert!(pod["securityContext"]["runAsUser"].as_u64().unwrap() > 10_000, "{name}");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
        for container in pod["containers"].as_array().unwrap() {
            let security = &container["securityContext"];
            assert_eq!(security["readOnlyRootFilesystem"], true, "{name}");
            assert_eq!(security["allowPrivilegeEscalation"], false, "{name}");
            assert_eq!(security["capabilities"]["drop"][0], "ALL", "{name}");
            for bound in ["requests", "limits"] {
                for what in ["cpu", "memory"] {
                    assert!(container["resources"][bound][what].is_string(), "{name} {bound} {what}");
                }
            }
            if object["kind"] != "Job" {
                for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
                    assert!(container[probe].is_object(), "{name} {probe}");
                }
                assert!(pod["topologySpreadConstraints"].is_array(), "{name}");
            }
        }
    }
}

#[test]
fn every_role_has_a_budget_a_scale_an_account_and_the_ports_of_the_configuration() {
    let objects = objects(REGIONS[0]);
    let find = |kind: &str, name: &str| {
        let wanted = format!("{kind}/{name}");
        objects.iter().find(|object| name_of(object) == wanted).unwrap_or_else(|| panic!("no {wanted}"))
    };
    let configuration: toml::Table = read("deploy/config/singapore.toml").parse().unwrap();
    let port_of =
        |listen: &toml::Value| listen.as_str().unwrap().rsplit(':').next().unwrap().parse::<u64>().unwrap();
    let monitor = port_of(&configuration["monitor"]["listen"]);
    for role in ROLES {
        for kind in
            ["PodDisruptionBudget", "HorizontalPodAutoscaler", "ServiceAccount", "Service", "NetworkPolicy"]
        {
            find(kind, role);
        }
        let deployment = find("Deployment", role);
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["args"][0], role);
        assert_eq!(container["ports"][0]["containerPort"], port_of(&configuration[role]["listen"]));
        assert_eq!(container["ports"][1]["containerPort"], monitor);
        assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/readyz");
        assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/healthz");
    }
    for (service, port) in CALLED {
        assert_eq!(find("Service", service)["spec"]["ports"][0]["port"], port);
        assert_eq!(port_of(&configuration[service]["listen"]), u64::from(port));
    }
}

#[test]
fn a_role_is_given_its_own_certificate_and_only_the_secrets_that_it_alone_may_hold() {
    let objects = objects(REGIONS[0]);
    let issued: BTreeSet<&str> = objects
        .iter()
        .filter(|object| object["kind"] == "Certificate")
        .map(|object| object["spec"]["secretName"].as_str().unwrap())
        .collect();
    for object in &objects {
        let Some(template) = object["spec"].get("template") else { continue };
        let mut secrets = BTreeSet::new();
        for volume in template["spec"]["volumes"].as_array().unwrap() {
            secrets.extend(volume["secret"]["secretName"].as_str());
            let sources = volume["projected"]["sources"].as_array();
            secrets
                .extend(sources.into_iter().flatten().filter_map(|source| source["secret"]["name"].as_str()));
        }
        let expected: &[&str] = match object["metadata"]["name"].as_str().unwrap() {
            "gateway" => &["gateway-identity", "gateway-public"],
            "auth" => &["auth-identity"],
            "router" => &["router-identity", "redis"],
            "storage" => &["storage-identity", "region-key", "database", "objects"],
            "migrate" => &["database"],
            "redis" => &["redis"],
            other => panic!("{other} is unknown here"),
        };
        assert_eq!(secrets, expected.iter().copied().collect(), "{}", name_of(object));
        for secret in secrets {
            assert!(
                issued.contains(secret) || OPERATORS_SECRETS.contains(&secret),
                "{secret} comes from nowhere"
            );
        }
        assert!(
            !objects.iter().any(|object| object["kind"] == "Secret"),
            "no secret stands in the repository"
        );
    }
}
