//! The database is killed and started again.

use std::time::Duration;

use anyhow::Result;
use bulkhead_testkit::{Rows, TestCluster};

use crate::workload::Workload;

/// How soon every conversation goes on after the database takes calls again: storage's driver and the routers' leases have
/// to find their way back.
const RECOVERY_LIMIT: Duration = Duration::from_secs(30);

/// Conversations: fewer than a database with one core of a test's machine could carry, so that nothing waits for it alone.
const PAIRS: usize = 20;

/// How long the database stays away the second time: longer than a lease, and than a call.
const AWAY: Duration = Duration::from_secs(6);

#[test]
fn nothing_acknowledged_is_lost_or_doubled_when_the_database_is_killed() {
    crate::chaos("database", Rows::OwnCassandra, PAIRS, kill_the_database);
}

async fn kill_the_database(cluster: &mut TestCluster, workload: &mut Workload) -> Result<()> {
    cluster.database()?.kill()?;
    tokio::task::block_in_place(|| cluster.database()?.start_again())?;
    workload.goes_on("the database was killed and started again", RECOVERY_LIMIT).await?;

    // Connections stay open and nothing answers, as when its machine stalls.
    cluster.database()?.pause()?;
    tokio::time::sleep(AWAY).await;
    cluster.database()?.resume()?;
    workload.goes_on("the database stood still", RECOVERY_LIMIT).await
}
