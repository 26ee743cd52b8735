//! Everything once more in a cluster: two gateways, two routers, two Redis shards, rows on Cassandra. Clients go to one
//! gateway after the other, so what they say to each other passes from gateway to gateway and from router to router.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;
use bulkhead_testkit::{ClusterOptions, Rows, TestCluster, TestRegion};
use parking_lot::Mutex;
use tokio::runtime::Runtime;

use crate::{canary, durability, hostile, isolation, login, order, resend, tokens};

/// One cluster for all of them, because it takes long to start; each has apps of its own.
#[test]
fn every_guarantee_holds_in_a_cluster() {
    let cluster = Cluster::start();
    cluster.run("a login", &[], login::logins);
    cluster.run("tokens", &["others/tokens"], tokens::revocations);
    cluster.run("certificates", &[], tokens::certificates);
    cluster.run("one token", &[], tokens::one_token);
    cluster.run("isolation", &["other/app"], isolation::isolation);
    cluster.run("one order", &[], order::one_order);
    cluster.run("hostile frames", &[], hostile::hostile);
    cluster.run("a flood", &[], hostile::flood);
    cluster.run("a resend", &[], resend::resend);
    cluster.run("a kill", &[], durability::burst_and_kill);
    cluster.run("a stop", &[], durability::stop_and_start);
    cluster.run("a canary", &[], canary::canary);
}

struct Cluster {
    cluster: Arc<Mutex<TestCluster>>,
    runtime: Runtime,
}

impl Cluster {
    fn start() -> Self {
        bulkhead_chassis::tls::install_provider();
        let options = ClusterOptions { rows: Rows::SharedCassandra, ..ClusterOptions::default() };
        let cluster = TestCluster::start_with(Path::new(env!("CARGO_BIN_EXE_bulkhead")), options);
        let cluster = Arc::new(Mutex::new(cluster.expect("a cluster starts")));
        Self { cluster, runtime: crate::runtime() }
    }

    fn run<F>(&self, what: &str, apps: &[&str], test: impl Fn(TestRegion) -> F)
    where
        F: Future<Output = Result<()>>,
    {
        let first = format!("{}/chat", what.replace(' ', "-"));
        let region = TestRegion::in_cluster(&self.cluster, &first, apps)
            .unwrap_or_else(|error| panic!("{what}: {error:#}"));
        self.runtime.block_on(test(region)).unwrap_or_else(|error| panic!("{what}: {error:#}"));
    }
}
