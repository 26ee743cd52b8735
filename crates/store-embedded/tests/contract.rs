//! The embedded engine keeps the contract of the storage port.

use std::sync::Arc;

use bulkhead_model::{ManualClock, Region};
use bulkhead_store::contract::{Fixture, run_all};
use bulkhead_store::engine_contract::{self, EngineFixture};
use bulkhead_store_embedded::EmbeddedStore;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_engine_keeps_the_contract() {
    run_all(async || {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(1_800_000_000_000));
        let store = EmbeddedStore::open(folder.path(), Region::Singapore, clock.clone()).unwrap();
        Fixture { store, clock, keep: Box::new(folder) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_engine_keeps_the_contract_of_engines() {
    engine_contract::run_all(async || {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(1_800_000_000_000));
        let engine = EmbeddedStore::open(folder.path(), Region::Singapore, clock.clone()).unwrap();
        EngineFixture { engine, clock, keep: Box::new(folder) }
    })
    .await;
}
