//! `cargo xtask k8s`: every overlay of `k8s/regions` against a real Kubernetes API server.
//!
//! The API server is built once from its own modules (`crates/xtask/kube-apiserver`) and runs with etcd in a folder that
//! is deleted afterwards. There are no nodes and no controllers: what is proven is that the server takes every object as
//! it is, by strict validation and by the admission that a cluster has, and keeps what it was given.

mod api_server;
mod kubectl;

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::system;
use api_server::ApiServer;
use kubectl::Kubectl;

/// The overlays, by the name of their folder.
const REGIONS: &[&str] = &["singapore", "frankfurt", "virginia"];

/// Applies every overlay and says what was found; an error names the object that was refused.
pub(crate) fn run(root: &Path) -> Result<()> {
    system::require("kubectl", &[], "kubectl 1.32 or newer")?;
    system::require("etcd", &["etcd-server"], "etcd (Debian: etcd-server)")?;
    system::require("go", &[], "Go 1.24 or newer")?;
    let binary = api_server::build(root)?;
    let server = ApiServer::start(&binary)?;
    let kubectl = server.kubectl();
    kubectl.apply(&root.join("crates/xtask/kube-apiserver/crds.yaml"), &["--server-side"])?;
    let established =
        ["wait", "--for=condition=Established", "--timeout=60s", "customresourcedefinitions", "--all"];
    kubectl.run(&established)?;
    for region in REGIONS {
        let objects = apply_overlay(root, &kubectl, region).with_context(|| format!("overlay {region}"))?;
        println!("{region}: {objects} objects taken, kept and read back without a difference");
    }
    refuses_what_is_wrong(root, &kubectl)?;
    println!("a field that does not exist is refused, and so is a pod that is less than restricted");
    Ok(())
}

/// Applies one overlay and answers how many objects it has.
fn apply_overlay(root: &Path, kubectl: &Kubectl, region: &str) -> Result<usize> {
    let rendered = kubectl.run(&["kustomize", &overlay(root, region)])?;
    let file = kubectl.folder.join(format!("{region}.yaml"));
    std::fs::write(&file, &rendered)?;
    let objects: Vec<Value> = serde_saphyr::from_multiple(&rendered).context("the rendered overlay")?;

    let (namespaces, others): (Vec<&Value>, Vec<&Value>) =
        objects.iter().partition(|object| object["kind"] == "Namespace");
    for namespace in namespaces {
        // A dry run in a namespace needs the namespace.
        kubectl.feed(&["apply", "--server-side", "--validate=strict", "-f", "-"], namespace)?;
    }
    kubectl.apply(&file, &["--server-side", "--dry-run=server"])?;
    for object in &others {
        if let Some(pod) = pod_of(object) {
            let asked = ["create", "--dry-run=server", "--validate=strict", "-f", "-"];
            kubectl.feed(&asked, &pod).with_context(|| format!("a pod of {}", object["metadata"]["name"]))?;
        }
    }
    kubectl.apply(&file, &["--server-side"])?;
    let name = file.display().to_string();
    kubectl.run(&["diff", "--server-side", "-f", &name]).context("what was read back differs")?;
    let kept: Value = serde_json::from_str(&kubectl.run(&["get", "-o", "json", "-f", &name])?)?;
    let kept = kept["items"].as_array().map_or(0, Vec::len);
    if kept != objects.len() {
        bail!("{} objects were applied and {kept} are there", objects.len());
    }
    Ok(kept)
}

/// The pod that a controller would make of a workload, for the admission of pods to judge.
fn pod_of(workload: &Value) -> Option<Value> {
    let template = workload["spec"].get("template")?;
    let mut metadata = template["metadata"].clone();
    metadata["name"] = json!("probe");
    metadata["namespace"] = workload["metadata"]["namespace"].clone();
    let spec = template["spec"].clone();
    Some(json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec }))
}

/// A check that takes everything proves nothing: plants an error of each kind.
fn refuses_what_is_wrong(root: &Path, kubectl: &Kubectl) -> Result<()> {
    let rendered = kubectl.run(&["kustomize", &overlay(root, REGIONS[0])])?;
    let objects: Vec<Value> = serde_saphyr::from_multiple(&rendered)?;
    let deployment = objects.iter().find(|object| object["kind"] == "Deployment");
    let mut misspelt = deployment.context("an overlay without a deployment")?.clone();
    let mut privileged = pod_of(&misspelt).context("a deployment without a template")?;
    misspelt["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = json!({});
    let asked = ["apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-"];
    if kubectl.feed(&asked, &misspelt).is_ok() {
        bail!("the API server takes a field that does not exist");
    }
    privileged["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = json!(true);
    if kubectl.feed(&["create", "--dry-run=server", "-f", "-"], &privileged).is_ok() {
        bail!("the namespace takes a pod that may gain privileges");
    }
    Ok(())
}

fn overlay(root: &Path, region: &str) -> String {
    root.join("k8s/regions").join(region).display().to_string()
}
