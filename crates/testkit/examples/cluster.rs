//! A region as a cluster, for tests that are not written in Rust and for measuring: two gateways, two routers, auth, storage
//! on a Cassandra, two Redis shards. It prints one line of JSON when everything serves, and ends when its standard input does.
//!
//! ```sh
//! cargo run -p bulkhead-testkit --example cluster -- target/debug/bulkhead
//! ```
//!
//! With a folder as second argument the rows are in the embedded store, and the folder gets the file by which `bulkhead
//! bench --data-dir FOLDER` finds the first gateway; the line names the processes to be measured.

use std::io::{Read, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use bulkhead_testkit::{ClusterOptions, Rows, TestCluster};
use serde_json::{Value, json};

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let binary = arguments.next().context("usage: cluster BULKHEAD_BINARY [FOLDER]")?;
    let bench_folder = arguments.next();
    let rows = if bench_folder.is_some() { Rows::Embedded } else { Rows::OwnCassandra };
    let cluster = TestCluster::start_with(&binary, ClusterOptions { rows, ..ClusterOptions::default() })?;
    let gateways = [cluster.gateway(0), cluster.gateway(1)].map(|address| {
        json!({"rest_url": format!("http://{address}"), "ws_url": format!("ws://{address}/websocket")})
    });
    if let Some(folder) = bench_folder {
        let mut region = gateways[0].clone();
        region["region"] = cluster.region().into();
        region["apps"] = json!([cluster.app()]);
        std::fs::write(folder.join("dev.json"), json!({ "regions": [region] }).to_string())?;
    }
    let processes: Vec<Value> =
        cluster.process_ids().map(|(name, pid)| json!({ "name": name, "pid": pid })).collect();
    let description = json!({
        "region": cluster.region(), "gateways": gateways, "operator": cluster.operator_arguments(),
        "processes": processes,
    });
    let mut output = std::io::stdout().lock();
    writeln!(output, "{description}")?;
    output.flush()?;
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    Ok(())
}
