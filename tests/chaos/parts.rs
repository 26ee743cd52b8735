//! Every process and every Redis shard is killed, stands still, or is restarted in order.

use std::time::Duration;

use anyhow::Result;
use bulkhead_testkit::{Rows, TestCluster};

use crate::workload::Workload;

/// How soon every conversation goes on after a part was lost, on a busy machine: a lease, a look around, a reconnection.
const RECOVERY_LIMIT: Duration = Duration::from_secs(40);

/// How long a paused router stands still: longer than its lease.
const PAUSED: Duration = Duration::from_secs(4);

/// Conversations that go on all the time; half of the senders are at either gateway.
const PAIRS: usize = 40;

#[test]
fn nothing_acknowledged_is_lost_or_doubled_whatever_part_fails() {
    crate::chaos("parts", Rows::Embedded, PAIRS, fail_every_part);
}

async fn fail_every_part(cluster: &mut TestCluster, workload: &mut Workload) -> Result<()> {
    for name in ["router-1", "gateway-1", "auth", "storage", "router-2", "gateway-2"] {
        cluster.kill(name)?;
        if name.starts_with("router") {
            // The other one takes over, whether this one comes back or not.
            workload.goes_on(&format!("{name} was killed"), RECOVERY_LIMIT).await?;
        }
        cluster.start_again(name)?;
        workload.goes_on(&format!("{name} was killed and started again"), RECOVERY_LIMIT).await?;
    }

    for shard in 0..2 {
        cluster.shard(shard).kill()?;
        workload.goes_on(&format!("Redis shard {shard} was killed"), RECOVERY_LIMIT).await?;
        cluster.shard(shard).restart()?;
        workload.goes_on(&format!("Redis shard {shard} was started again"), RECOVERY_LIMIT).await?;
    }

    cluster.process("router-1")?.signal("STOP")?;
    tokio::time::sleep(PAUSED).await;
    workload.goes_on("router-1 stood still", RECOVERY_LIMIT).await?;
    cluster.process("router-1")?.signal("CONT")?;
    workload.goes_on("router-1 went on", RECOVERY_LIMIT).await?;

    for name in ["router-1", "router-2", "gateway-1", "gateway-2"] {
        cluster.stop(name)?;
        cluster.start_again(name)?;
        workload.goes_on(&format!("{name} was restarted in order"), RECOVERY_LIMIT).await?;
    }
    Ok(())
}
