//! A region as a cluster, for tests that are not written in Rust: two gateways, two routers, auth, storage on a Cassandra,
//! two Redis shards. It prints one line of JSON when everything serves, and ends when its standard input does.
//!
//! ```sh
//! cargo run -p bulkhead-testkit --example cluster -- target/debug/bulkhead
//! ```

use std::io::{Read, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};
use bulkhead_testkit::{ClusterOptions, Rows, TestCluster};
use serde_json::json;

fn main() -> Result<()> {
    let binary = std::env::args_os().nth(1).map(PathBuf::from).context("usage: cluster BULKHEAD_BINARY")?;
    let options = ClusterOptions { rows: Rows::OwnCassandra, ..ClusterOptions::default() };
    let cluster = TestCluster::start_with(&binary, options)?;
    let gateways = [cluster.gateway(0), cluster.gateway(1)].map(|address| {
        json!({"rest_url": format!("http://{address}"), "ws_url": format!("ws://{address}/websocket")})
    });
    let description = json!({
        "region": cluster.region(), "gateways": gateways, "operator": cluster.operator_arguments(),
    });
    let mut output = std::io::stdout().lock();
    writeln!(output, "{description}")?;
    output.flush()?;
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    Ok(())
}
