//! The network between gateways and routers, and between routers and storage, fails for some seconds: connections are reset,
//! or stay open while nothing arrives.

use std::time::Duration;

use anyhow::Result;
use bulkhead_testkit::{Link, Rows, TestCluster};

use crate::workload::Workload;

/// How soon every conversation goes on once the network is whole again.
const RECOVERY_LIMIT: Duration = Duration::from_secs(20);

/// How long a cut lasts: longer than a lease.
const CUT: Duration = Duration::from_secs(3);

const PAIRS: usize = 20;

/// What becomes of a link, by name.
type How = (&'static str, fn(&Link));

const RESET: How = ("reset", Link::reset);
const SILENT: How = ("silent", Link::silence);

#[test]
fn nothing_acknowledged_is_lost_or_doubled_when_the_network_is_cut() {
    crate::chaos("network", Rows::Embedded, PAIRS, cut_everything);
}

async fn cut_everything(cluster: &mut TestCluster, workload: &mut Workload) -> Result<()> {
    let routers = [cluster.link_to_router(0)?.clone(), cluster.link_to_router(1)?.clone()];
    let storage = [cluster.link_to_storage(0)?.clone(), cluster.link_to_storage(1)?.clone()];
    let cuts: [(&str, &[Link], How); 6] = [
        ("the gateways and router-1", &routers[..1], RESET),
        ("the gateways and router-2", &routers[1..], SILENT),
        ("the gateways and both routers", &routers, SILENT),
        ("router-2 and storage", &storage[1..], RESET),
        ("both routers and storage", &storage, RESET),
        ("both routers and storage", &storage, SILENT),
    ];
    for (between, links, (how, cut)) in cuts {
        links.iter().for_each(cut);
        tokio::time::sleep(CUT).await;
        links.iter().for_each(Link::mend);
        workload.goes_on(&format!("{between} were {how} for {CUT:?}"), RECOVERY_LIMIT).await?;
    }
    for (link, router) in storage.iter().zip(["router-1", "router-2"]) {
        // A router without storage is as good as gone: the other one takes over while the network is still cut. What the first
        // one has sent meanwhile arrives late, and must not be in the log beside what the other one has acknowledged.
        link.silence();
        workload.goes_on(&format!("{router} lost storage"), RECOVERY_LIMIT).await?;
        link.mend();
        workload.goes_on(&format!("{router} has storage again"), RECOVERY_LIMIT).await?;
    }
    Ok(())
}
