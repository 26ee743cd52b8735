//! The engine keeps the contract of the storage port, on a real database.

use std::sync::Arc;

use bulkhead_model::ManualClock;
use bulkhead_store::contract::{Fixture, run_all};
use bulkhead_store::engine_contract::{self, EngineFixture};

use crate::bed;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cql_engine_keeps_the_contract() {
    run_all(async || {
        let clock = Arc::new(ManualClock::at(1_800_000_000_000));
        let store = bed::new_store(clock.clone()).await.unwrap();
        Fixture { store, clock, keep: Box::new(()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cql_engine_keeps_the_contract_of_engines() {
    engine_contract::run_all(async || {
        let clock = Arc::new(ManualClock::at(1_800_000_000_000));
        let engine = bed::new_store(clock.clone()).await.unwrap();
        EngineFixture { engine, clock, keep: Box::new(()) }
    })
    .await;
}
