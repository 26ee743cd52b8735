//! A cluster loses its parts one after the other while people write to each other; nothing that was acknowledged is lost,
//! nothing is delivered twice, and every conversation has one order.

mod checker;
mod devices;
mod workload;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use bulkhead_testkit::TestCluster;
use workload::Workload;

/// Conversations that go on all the time; half of the senders are at either gateway.
const PAIRS: usize = 40;

/// How soon every conversation goes on after a part was lost, on a busy machine: a lease, a look around, a reconnection.
const RECOVERY_LIMIT: Duration = Duration::from_secs(40);

/// How long a paused router stands still: longer than its lease.
const PAUSED: Duration = Duration::from_secs(4);

#[test]
fn nothing_acknowledged_is_lost_or_doubled_whatever_part_fails() {
    bulkhead_chassis::tls::install_provider();
    let mut cluster = TestCluster::start(Path::new(env!("CARGO_BIN_EXE_bulkhead"))).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let outcome = runtime.block_on(fail_everything(&mut cluster));
    if let Err(error) = outcome {
        panic!("{error:#}\n{}", cluster.logs());
    }
}

async fn fail_everything(cluster: &mut TestCluster) -> Result<()> {
    let mut workload = Workload::start(cluster, PAIRS).await?;
    goes_on(&mut workload, "the start").await?;

    for name in ["router-1", "gateway-1", "auth", "storage", "router-2", "gateway-2"] {
        cluster.kill(name)?;
        if name.starts_with("router") {
            // The other one takes over, whether this one comes back or not.
            goes_on(&mut workload, &format!("{name} was killed")).await?;
        }
        cluster.start_again(name)?;
        goes_on(&mut workload, &format!("{name} was killed and started again")).await?;
    }

    for shard in 0..2 {
        cluster.shard(shard).kill()?;
        goes_on(&mut workload, &format!("Redis shard {shard} was killed")).await?;
        cluster.shard(shard).restart()?;
        goes_on(&mut workload, &format!("Redis shard {shard} was started again")).await?;
    }

    cluster.process("router-1")?.signal("STOP")?;
    tokio::time::sleep(PAUSED).await;
    goes_on(&mut workload, "router-1 stood still").await?;
    cluster.process("router-1")?.signal("CONT")?;
    goes_on(&mut workload, "router-1 went on").await?;

    for name in ["router-1", "router-2", "gateway-1", "gateway-2"] {
        cluster.stop(name)?;
        cluster.start_again(name)?;
        goes_on(&mut workload, &format!("{name} was restarted in order")).await?;
    }

    let messages = workload.finish().await?;
    println!("{messages} messages");
    Ok(())
}

async fn goes_on(workload: &mut Workload, after: &str) -> Result<()> {
    let took = workload.goes_on(RECOVERY_LIMIT).await.with_context(|| format!("after {after}"))?;
    println!("{after}: went on after {took:.1?}");
    Ok(())
}
