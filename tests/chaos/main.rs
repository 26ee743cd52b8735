//! A cluster loses its parts one after the other while people write to each other; nothing that was acknowledged is lost,
//! nothing is delivered twice, every conversation has one order, and each goes on within the time that its test states.

mod checker;
mod database;
mod devices;
mod disk;
mod network;
mod parts;
mod workload;

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use bulkhead_testkit::{ClusterOptions, Rows, TestCluster};
use workload::Workload;

/// How long a router may be silent, in milliseconds: short, so that a test need not wait long for a crash to be noticed.
const LEASE_MS: u64 = 1500;

/// Starts a cluster, has people write to each other in it, does to it what `fail` does, and judges what became of every
/// message.
fn chaos(
    name: &str,
    rows: Rows,
    pairs: usize,
    fail: impl AsyncFnOnce(&mut TestCluster, &mut Workload) -> Result<()>,
) {
    bulkhead_chassis::tls::install_provider();
    let options = ClusterOptions { rows, lease_ms: LEASE_MS, with_links: true, ..ClusterOptions::default() };
    let cluster = TestCluster::start_with(Path::new(env!("CARGO_BIN_EXE_bulkhead")), options);
    let mut cluster = cluster.unwrap_or_else(|error| panic!("{name}: no cluster: {error:#}"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime starts");
    let outcome = runtime.block_on(async {
        let mut workload = Workload::start(&cluster, name, pairs).await?;
        workload.goes_on("the start", Duration::from_secs(10)).await?;
        fail(&mut cluster, &mut workload).await?;
        workload.finish().await
    });
    match outcome {
        Ok(messages) => println!("{name}: {messages} messages"),
        Err(error) => panic!("{name}: {error:#}\n{}", cluster.logs()),
    }
}
