//! A real database, shared by the tests of a binary, with a keyspace for each.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use bulkhead_model::{ManualClock, Region};
use bulkhead_store_cql::{CqlSettings, CqlStore, migrate};
use bulkhead_testkit::Cassandra;

/// A store on a keyspace of its own.
pub(crate) async fn new_store(clock: Arc<ManualClock>) -> Result<Arc<CqlStore>> {
    let settings = settings(shared().await?);
    migrate(&settings, 1, 1_800_000_000_000).await?;
    Ok(CqlStore::connect(&settings, clock).await?)
}

/// The database that the tests share; the first caller waits for its start.
pub(crate) async fn shared() -> Result<&'static Cassandra> {
    tokio::task::spawn_blocking(Cassandra::shared).await?
}

/// Settings for a keyspace that does not exist yet.
pub(crate) fn settings(node: &Cassandra) -> CqlSettings {
    CqlSettings {
        region: Region::Singapore,
        contact_points: vec![node.contact_point()],
        keyspace: node.new_keyspace(),
        data_center: node.data_center().to_owned(),
        credentials: None,
        tls: None,
        call_timeout: Duration::from_secs(10),
    }
}
