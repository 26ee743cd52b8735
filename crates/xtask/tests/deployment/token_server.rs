//! The token server's manifests: who gets through to it, and that it starts with the configuration that is there.

use bulkhead_chassis::config::{TokenServerConfig, TokenServerListen};
use serde_json::{Value, json};

use crate::files::{name_of, read, render, yaml};
use crate::{kubernetes, strict};

const FOLDER: &str = "k8s/token-server";

fn objects() -> Vec<Value> {
    serde_saphyr::from_multiple(&render(FOLDER)).unwrap()
}

/// A pod as network policies see it.
struct Pod {
    namespace: &'static str,
    name: &'static str,
}

/// Whether a selector has only labels that are there. An absent selector is the caller's to judge.
fn selects(selector: &Value, labels: &Value) -> bool {
    assert!(selector.get("matchExpressions").is_none(), "this test knows labels only");
    let wanted = selector["matchLabels"].as_object();
    wanted.into_iter().flatten().all(|(name, value)| labels[name] == *value)
}

/// What a cluster does with a connection to the token server (Kubernetes: NetworkPolicySpec): refused as soon as a policy
/// selects it, unless a rule lets the caller in.
fn is_let_in(caller: &Pod, port: u64) -> bool {
    let own = json!({ "app.kubernetes.io/name": "token-server" });
    let namespace = json!({ "kubernetes.io/metadata.name": caller.namespace });
    let labels = json!({ "app.kubernetes.io/name": caller.name });
    let objects = objects();
    let policies: Vec<_> = objects
        .iter()
        .filter(|object| object["kind"] == "NetworkPolicy" && selects(&object["spec"]["podSelector"], &own))
        .collect();
    assert!(policies.len() > 1, "without a policy everybody gets in");
    policies.iter().flat_map(|policy| policy["spec"]["ingress"].as_array().into_iter().flatten()).any(
        |rule| {
            let ports = rule["ports"].as_array();
            let on_port = ports.is_none_or(|ports| ports.iter().any(|open| open["port"] == port));
            let from = rule["from"].as_array();
            let from_caller = from.is_none_or(|peers| {
                peers.iter().any(|peer| {
                    let of_namespace = match peer.get("namespaceSelector") {
                        Some(selector) => selects(selector, &namespace),
                        None => caller.namespace == "shop-token-server",
                    };
                    let is_pod = peer.get("podSelector").is_none_or(|selector| selects(selector, &labels));
                    peer.get("ipBlock").is_none() && of_namespace && is_pod
                })
            });
            on_port && from_caller
        },
    )
}

#[test]
fn only_the_apps_back_end_gets_through_to_the_token_server() {
    assert!(is_let_in(&Pod { namespace: "shop", name: "backend" }, 7180));
    for (namespace, name) in [
        ("shop", "frontend"),
        ("shop", "token-server"),
        ("other", "backend"),
        ("default", "backend"),
        ("shop-token-server", "backend"),
        ("shop-token-server", "token-server"),
        ("monitoring", "prometheus"),
        ("bulkhead-singapore", "gateway"),
    ] {
        assert!(!is_let_in(&Pod { namespace, name }, 7180), "{name} of {namespace}");
    }
    assert!(is_let_in(&Pod { namespace: "monitoring", name: "prometheus" }, 7190));
    assert!(!is_let_in(&Pod { namespace: "shop", name: "backend" }, 7190));
}

#[test]
fn the_manifests_are_what_they_were_when_they_were_last_looked_at_and_to_the_last_field() {
    kubernetes::is_as_agreed("token-server", &render(FOLDER));
    objects().iter().for_each(strict::decode);
}

#[test]
fn the_token_server_starts_with_the_configuration_of_its_manifests_and_asks_for_certificates() {
    let objects = objects();
    let map = objects.iter().find(|object| object["kind"] == "ConfigMap").unwrap();
    let text = map["data"]["token-server.toml"].as_str().unwrap();
    let config = TokenServerConfig::read("token-server.toml", text, Vec::new()).unwrap();
    let TokenServerListen::Mutual { address, client_names, .. } = config.listen else { panic!("in clear") };
    let certificate = objects.iter().find(|object| name_of(object) == "Certificate/backend").unwrap();
    assert_eq!(certificate["spec"]["dnsNames"], json!(client_names));

    let set = objects.iter().find(|object| object["kind"] == "StatefulSet").unwrap();
    assert_eq!(set["spec"]["replicas"], 1, "a map belongs to one process");
    let pod = &set["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(container["args"], json!(["token-server", "--config", "/etc/bulkhead/token-server.toml"]));
    assert_eq!(container["ports"][0]["containerPort"], address.port());
    assert_eq!(container["ports"][1]["containerPort"], config.monitor.unwrap().port());
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert!(pod["terminationGracePeriodSeconds"].as_u64().unwrap() > config.drain_limit.as_secs());
    let mounted = |path: &std::path::Path| {
        let mounts = container["volumeMounts"].as_array().unwrap();
        mounts.iter().any(|mount| path.starts_with(mount["mountPath"].as_str().unwrap()))
    };
    for path in [&config.app_certificate_file, &config.map_key_file, &config.map_dir] {
        assert!(mounted(path), "{}", path.display());
    }
}

#[test]
fn the_composition_has_a_socket_and_no_port_and_its_configuration_is_right() {
    let compose = yaml(&read("deploy/docker/token-server.yml"));
    let services = compose["services"].as_object().unwrap();
    assert_eq!(services.len(), 1);
    let service = &services["token-server"];
    assert_eq!(service.get("ports"), None);
    assert_eq!(service["user"], "65532:65532");
    assert_eq!(service["read_only"], true);
    assert_eq!(service["cap_drop"], json!(["ALL"]));
    assert_eq!(service["security_opt"], json!(["no-new-privileges:true"]));
    assert_eq!(service["networks"], json!(["edge"]));

    let given = [("APP_KEY", "demo#chat"), ("APP_ID", "61000000000000000000000000000000")];
    let environment = given.map(|(name, value)| (format!("BULKHEAD_TOKEN_SERVER__{name}"), value.to_owned()));
    for (name, _) in &environment {
        assert!(service["environment"][name].is_string(), "{name}");
    }
    let file = "deploy/config/token-server.toml";
    let config = TokenServerConfig::read(file, &read(file), environment).unwrap();
    let TokenServerListen::Unix(path) = config.listen else { panic!("not a socket") };
    let volumes = service["volumes"].as_array().unwrap();
    let target_of = |name: &str| {
        let volume = volumes.iter().filter_map(Value::as_str).find_map(|volume| volume.strip_prefix(name));
        volume.unwrap_or_else(|| panic!("no volume {name}")).to_owned()
    };
    assert!(path.starts_with(target_of("token-server-socket:")));
    assert!(config.map_dir.starts_with(target_of("token-server-map:")));
    let secrets: Vec<_> =
        service["secrets"].as_array().unwrap().iter().map(|secret| secret["target"].clone()).collect();
    assert_eq!(json!(secrets), json!([config.app_certificate_file, config.map_key_file]));
}
