//! Where everything is, and how it is read.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

pub(crate) const REGIONS: [&str; 3] = ["singapore", "frankfurt", "virginia"];

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

pub(crate) fn read(path: &str) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

/// What `kubectl kustomize` makes of a region's overlay.
pub(crate) fn rendered(region: &str) -> String {
    render(&format!("k8s/regions/{region}"))
}

/// What `kubectl kustomize` makes of a folder.
pub(crate) fn render(folder: &str) -> String {
    let overlay = root().join(folder);
    let output = Command::new("kubectl").arg("kustomize").arg(overlay).output();
    let output = output.expect("these tests need kubectl (1.32 or newer) on the search path");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The objects of a region's overlay.
pub(crate) fn objects(region: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(&rendered(region)).unwrap()
}

/// `kind/name` of an object.
pub(crate) fn name_of(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    format!("{}/{}", text(&object["kind"]), text(&object["metadata"]["name"]))
}

/// Every text in a value, keys included.
pub(crate) fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| texts(value, found)),
        Value::Object(fields) => {
            for (name, value) in fields {
                found.push(name.clone());
                texts(value, found);
            }
        }
        _ => {}
    }
}
