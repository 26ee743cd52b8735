//! What `bulkhead admin residency` says of running regions.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use bulkhead_testkit::TestCluster;
use serde_json::Value;

use crate::regions::Regions;

/// Every node's report names addresses of its own region alone, and what it has dialled has proven to be there.
pub(crate) fn names_only_own_addresses(regions: &Regions) -> Result<()> {
    for region in regions.all() {
        let report = regions.inside(region.region(), || report_of(region))?;
        ensure!(report["findings"] == 0, "{report:#}");
        let nodes = report["nodes"].as_array().context("nodes")?;
        ensure!(nodes.len() == region.monitor_urls().len(), "{report:#}");
        for node in nodes {
            check(region, &node["report"]).with_context(|| format!("{node:#}"))?;
        }
    }
    Ok(())
}

fn report_of(region: &TestCluster) -> Result<Value> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bulkhead"));
    command.args(["admin", "--json", "residency"]);
    for url in region.monitor_urls() {
        command.args(["--monitor", &url]);
    }
    let output = command.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn check(region: &TestCluster, report: &Value) -> Result<()> {
    let (name, host) = (region.region(), region.host().to_string());
    ensure!(report["region"] == name, "not of this region");
    ensure!(report["identity"].as_str().is_some_and(|identity| identity.contains(name)), "no identity");
    let is_ours = |row: &Value| {
        let address = row["address"].as_str().unwrap_or_default();
        let address = address.rsplit("//").next().unwrap_or_default();
        address.rsplit_once(':').is_some_and(|(at, _)| at == host)
    };
    let configured = report["configured"].as_array().context("configured")?;
    for row in configured.iter().filter(|row| row["purpose"] == "called") {
        ensure!(is_ours(row) && row["region"] == name, "{row} is not in {name}");
    }
    let dialled = report["dialled"].as_array().context("dialled")?;
    for row in dialled {
        // One that ended before it could be reached has shown no certificate.
        let has_shown = row["proven_region"] == name || row["connected"] == 0;
        ensure!(is_ours(row) && has_shown && row["refused"].is_null(), "{row} is not in {name}");
    }
    // A storage process that keeps everything in folders dials nobody; every other one has.
    let dials = report["process"] != "storage"
        || configured
            .iter()
            .any(|row| row["purpose"] == "called" && row["setting"] == "storage.objects.endpoint");
    ensure!(dials != dialled.is_empty(), "dialled: {}", dialled.len());
    Ok(())
}
