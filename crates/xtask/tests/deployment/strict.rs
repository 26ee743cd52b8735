//! Objects decoded as what they say they are; a field that is lost on the way does not exist in that kind.

use k8s_openapi::api::{apps, autoscaling, batch, core, networking, policy};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::files::{name_of, read};

/// Decodes an object; panics with its name when a field is unknown or of the wrong kind.
pub(crate) fn decode(object: &Value) {
    let kind = (object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
    match kind {
        ("v1", "Namespace") => keeps_all::<core::v1::Namespace>(object),
        ("v1", "ServiceAccount") => keeps_all::<core::v1::ServiceAccount>(object),
        ("v1", "Service") => keeps_all::<core::v1::Service>(object),
        ("v1", "ConfigMap") => keeps_all::<core::v1::ConfigMap>(object),
        ("apps/v1", "Deployment") => keeps_all::<apps::v1::Deployment>(object),
        ("apps/v1", "StatefulSet") => keeps_all::<apps::v1::StatefulSet>(object),
        ("batch/v1", "Job") => keeps_all::<batch::v1::Job>(object),
        ("autoscaling/v2", "HorizontalPodAutoscaler") => {
            keeps_all::<autoscaling::v2::HorizontalPodAutoscaler>(object);
        }
        ("policy/v1", "PodDisruptionBudget") => keeps_all::<policy::v1::PodDisruptionBudget>(object),
        ("networking.k8s.io/v1", "NetworkPolicy") => keeps_all::<networking::v1::NetworkPolicy>(object),
        _ => by_definition(object, kind),
    }
}

fn keeps_all<T: DeserializeOwned + Serialize>(object: &Value) {
    let decoded: T =
        serde_json::from_value(object.clone()).unwrap_or_else(|error| panic!("{}: {error}", name_of(object)));
    let again = serde_json::to_value(decoded).unwrap();
    contains(&again, object, &name_of(object));
}

fn contains(whole: &Value, part: &Value, path: &str) {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            for (name, value) in part {
                let there = whole.get(name).unwrap_or_else(|| panic!("{path}: no field {name}"));
                contains(there, value, &format!("{path}.{name}"));
            }
        }
        (Value::Array(whole), Value::Array(part)) => {
            assert_eq!(whole.len(), part.len(), "{path}");
            for (index, (whole, part)) in whole.iter().zip(part).enumerate() {
                contains(whole, part, &format!("{path}[{index}]"));
            }
        }
        _ => assert_eq!(whole, part, "{path}"),
    }
}

/// Objects of operators, by the definitions that the API server is given in `cargo xtask k8s`.
fn by_definition(object: &Value, (version, kind): (&str, &str)) {
    let definitions = read("crates/xtask/kube-apiserver/crds.yaml");
    let definitions: Vec<Value> = serde_saphyr::from_multiple(&definitions).unwrap();
    let definition = definitions.iter().find(|definition| {
        let spec = &definition["spec"];
        let group = spec["group"].as_str().unwrap();
        spec["names"]["kind"] == kind && version == format!("{group}/v1")
    });
    let definition = definition.unwrap_or_else(|| panic!("no definition of {version} {kind}"));
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    for (name, value) in object.as_object().unwrap() {
        if !["apiVersion", "kind", "metadata"].contains(&name.as_str()) {
            fits(value, &schema["properties"][name], &format!("{}.{name}", name_of(object)));
        }
    }
}

fn fits(value: &Value, schema: &Value, path: &str) {
    assert!(schema.is_object(), "{path}: no such field");
    match value {
        Value::Object(fields) => {
            assert_eq!(schema["type"], "object", "{path}");
            for (name, value) in fields {
                if schema.get("additionalProperties").is_none() {
                    fits(value, &schema["properties"][name], &format!("{path}.{name}"));
                }
            }
        }
        Value::Array(values) => {
            assert_eq!(schema["type"], "array", "{path}");
            values.iter().for_each(|value| fits(value, &schema["items"], path));
        }
        Value::String(_) => assert_eq!(schema["type"], "string", "{path}"),
        Value::Bool(_) => assert_eq!(schema["type"], "boolean", "{path}"),
        Value::Number(_) => assert_eq!(schema["type"], "integer", "{path}"),
        Value::Null => panic!("{path}: empty"),
    }
}

#[test]
#[should_panic(expected = "no field readynessProbe")]
fn a_misspelt_field_is_found() {
    decode(&crate::files::yaml(
        "{apiVersion: apps/v1, kind: Deployment, metadata: {name: x}, spec: {selector: {}, template: \
         {spec: {containers: [{name: x, readynessProbe: {}}]}}}}",
    ));
}

#[test]
#[should_panic(expected = "Issuer/x.spec.selfsigned: no such field")]
fn a_misspelt_field_of_an_operators_object_is_found() {
    decode(&crate::files::yaml(
        "{apiVersion: cert-manager.io/v1, kind: Issuer, metadata: {name: x}, spec: {selfsigned: {}}}",
    ));
}
