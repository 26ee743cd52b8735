//! The contract of what an engine does beyond the port; see [`crate::contract`].

use std::sync::Arc;

use bulkhead_model::{AppUuid, ManualClock, MessageId};
use bytes::Bytes;

use crate::{Engine, Mutation, Put, RowKey, RowRange, SCAN_ROWS_MAX, Scan, Scope, tables};

const NOW_MS: u64 = 1_800_000_000_000;
const HOUR_MS: u64 = 60 * 60 * 1000;
const DAY_MS: u64 = 24 * HOUR_MS;
const APP: Scope = Scope::App(AppUuid([0xA1; 16]));

/// An empty engine and the clock that it reads, at 1 800 000 000 000.
pub struct EngineFixture {
    pub engine: Arc<dyn Engine>,
    pub clock: Arc<ManualClock>,
    /// Dropped after the engine, for folders and servers that have to outlive it.
    pub keep: Box<dyn std::any::Any + Send>,
}

/// Runs every check, each on an engine of its own.
pub async fn run_all<F, Fut>(make: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = EngineFixture>,
{
    a_range_is_forgotten_within_its_bounds(&make().await).await;
    a_log_is_forgotten_up_to_an_instant(&make().await).await;
    a_long_range_is_forgotten_whole(&make().await).await;
    only_an_unchanged_row_is_deleted(&make().await).await;
    a_write_beside_a_deletion_stays(&make().await).await;
}

fn row(partition: &str, clustering: &str) -> RowKey {
    RowKey { table: &tables::USERS, scope: APP, partition: bytes(partition), clustering: bytes(clustering) }
}

fn message(channel: &str, unix_ms: u64) -> RowKey {
    let clustering = Bytes::copy_from_slice(&MessageId::new(unix_ms, 3, 0).0.to_be_bytes());
    RowKey { table: &tables::MESSAGES, scope: APP, partition: bytes(channel), clustering }
}

fn put(key: RowKey) -> Mutation {
    Mutation::Put(Put { key, value: bytes("v"), expires_in_ms: None })
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn range_of(key: RowKey, from: Bytes, to: Bytes) -> RowRange {
    RowRange { table: key.table, scope: key.scope, partition: key.partition, from, to }
}

async fn left(engine: &dyn Engine, of: RowKey) -> Vec<Bytes> {
    let scan = Scan {
        table: of.table,
        scope: of.scope,
        partition: of.partition,
        from: Bytes::new(),
        to: Bytes::new(),
        descending: false,
        limit: SCAN_ROWS_MAX,
    };
    engine.scan(scan).await.unwrap().into_iter().map(|row| row.clustering).collect()
}

async fn a_range_is_forgotten_within_its_bounds(fixture: &EngineFixture) {
    let engine = &*fixture.engine;
    let all = ["a", "b", "c", "d"];
    engine.write(all.iter().flat_map(|c| [put(row("p", c)), put(row("q", c))]).collect()).await.unwrap();
    engine.forget_range(range_of(row("p", ""), bytes("b"), bytes("d"))).await.unwrap();
    assert_eq!(left(engine, row("p", "")).await, ["a", "d"]);
    assert_eq!(left(engine, row("q", "")).await, all, "another partition keeps its rows");
    engine.forget_range(range_of(row("p", ""), bytes("d"), bytes("b"))).await.unwrap();
    engine.forget_range(range_of(row("p", ""), bytes("b"), Bytes::new())).await.unwrap();
    assert_eq!(left(engine, row("p", "")).await, ["a"], "an open end is the partition's");
    engine.write(vec![put(row("p", "c"))]).await.unwrap();
    assert_eq!(left(engine, row("p", "")).await, ["a", "c"], "what comes later is there");
}

/// Bounds at the edges of days and within them, which engines may keep apart.
async fn a_log_is_forgotten_up_to_an_instant(fixture: &EngineFixture) {
    let engine = &*fixture.engine;
    let midnight = NOW_MS / DAY_MS * DAY_MS;
    let times: Vec<u64> = (0..10).map(|n| midnight - 5 * DAY_MS + n * 12 * HOUR_MS).collect();
    let everything = times.iter().flat_map(|at| [put(message("one", *at)), put(message("other", *at))]);
    engine.write(everything.collect()).await.unwrap();
    let ids = |from: usize| times[from..].iter().map(|at| message("one", *at).clustering).collect::<Vec<_>>();
    for kept_from in [1, 2, 3, 6, 6] {
        let to = Bytes::copy_from_slice(&MessageId::floor_of(times[kept_from]).0.to_be_bytes());
        engine.forget_range(range_of(message("one", 0), Bytes::new(), to)).await.unwrap();
        assert_eq!(left(engine, message("one", 0)).await, ids(kept_from));
        let gone = engine.get(message("one", times[kept_from - 1])).await.unwrap();
        assert_eq!(gone, None, "nor is it found by its key");
    }
    assert_eq!(left(engine, message("other", 0)).await.len(), times.len());
    // A day of which all was forgotten can have rows again.
    engine.write(vec![put(message("one", times[0]))]).await.unwrap();
    assert_eq!(left(engine, message("one", 0)).await.len(), 1 + ids(6).len());
}

async fn a_long_range_is_forgotten_whole(fixture: &EngineFixture) {
    let engine = &*fixture.engine;
    let rows = 3500;
    engine.write((0..rows).map(|n| put(row("p", &format!("{n:05}")))).collect()).await.unwrap();
    engine.forget_range(range_of(row("p", ""), Bytes::new(), bytes("03499"))).await.unwrap();
    assert_eq!(left(engine, row("p", "")).await, ["03499"]);
}

async fn only_an_unchanged_row_is_deleted(fixture: &EngineFixture) {
    let engine = &*fixture.engine;
    engine.write(vec![put(row("p", "a")), put(row("p", "b"))]).await.unwrap();
    engine.delete_unchanged(row("p", "a"), bytes("another")).await.unwrap();
    engine.delete_unchanged(row("p", "none"), bytes("v")).await.unwrap();
    assert_eq!(left(engine, row("p", "")).await, ["a", "b"]);
    engine.delete_unchanged(row("p", "a"), bytes("v")).await.unwrap();
    assert_eq!(left(engine, row("p", "")).await, ["b"]);
    engine.write(vec![put(row("p", "a"))]).await.unwrap();
    assert_eq!(left(engine, row("p", "")).await, ["a", "b"], "it can be written again");
}

/// Whoever writes a new value while the old one is deleted keeps it.
async fn a_write_beside_a_deletion_stays(fixture: &EngineFixture) {
    for round in 0..20 {
        let key = row("p", &format!("{round}"));
        fixture.engine.write(vec![put(key.clone())]).await.unwrap();
        let new = Mutation::Put(Put { key: key.clone(), value: bytes("new"), expires_in_ms: None });
        let (deleted, written) = tokio::join!(
            fixture.engine.delete_unchanged(key.clone(), bytes("v")),
            fixture.engine.write(vec![new])
        );
        deleted.unwrap();
        written.unwrap();
        assert_eq!(fixture.engine.get(key).await.unwrap(), Some(bytes("new")), "round {round}");
    }
}
