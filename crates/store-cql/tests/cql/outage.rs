//! A database that is killed, paused and restarted under the engine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bulkhead_model::{ErrorKind, ManualClock};
use bulkhead_store::{Mutation, Put, RowKey, Scan, Scope, Store, tables};
use bulkhead_store_cql::{CqlSettings, CqlStore, migrate};
use bulkhead_testkit::Cassandra;
use bytes::Bytes;

use crate::bed;

const NOW_MS: u64 = 1_800_000_000_000;
const CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// What a call may take beyond its timeout on a machine that does other things too.
const TOLERANCE: Duration = Duration::from_secs(1);

/// How long the engine may take to find a database that came back.
const RECOVERY_LIMIT: Duration = Duration::from_secs(60);

fn key(n: u32) -> RowKey {
    let clustering = Bytes::copy_from_slice(&n.to_be_bytes());
    RowKey { table: &tables::USERS, scope: Scope::Region, partition: Bytes::from_static(b"p"), clustering }
}

fn put(n: u32) -> Put {
    Put { key: key(n), value: Bytes::from(n.to_string()), expires_in_ms: None }
}

async fn every_call_is_unavailable(store: &CqlStore) {
    let scan = Scan {
        table: &tables::USERS,
        scope: Scope::Region,
        partition: Bytes::from_static(b"p"),
        from: Bytes::new(),
        to: Bytes::new(),
        descending: false,
        limit: 10,
    };
    let start = Instant::now();
    let (write, insert, set, get, scan) = tokio::join!(
        store.write(vec![Mutation::Put(put(1))]),
        store.insert_if_absent(put(2)),
        store.compare_and_set(key(3), None, Bytes::new()),
        store.get(key(4)),
        store.scan(scan),
    );
    let took = start.elapsed();
    let kinds = [
        write.map_err(|error| error.kind()).err(),
        insert.map_err(|error| error.kind()).err(),
        set.map_err(|error| error.kind()).err(),
        get.map_err(|error| error.kind()).err(),
        scan.map_err(|error| error.kind()).err(),
    ];
    assert_eq!(kinds, [Some(ErrorKind::Unavailable); 5]);
    assert!(took < CALL_TIMEOUT + TOLERANCE, "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_kill_and_an_outage_is_told_in_time() {
    let mut node = tokio::task::spawn_blocking(|| Cassandra::start("singapore")).await.unwrap().unwrap();
    let settings = CqlSettings { call_timeout: CALL_TIMEOUT, ..bed::settings(&node) };
    migrate(&settings, 1, NOW_MS).await.unwrap();
    let store = CqlStore::connect(&settings, Arc::new(ManualClock::at(NOW_MS))).await.unwrap();

    // Writers that go on until the database is gone under them.
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..8 {
        let store = store.clone();
        writers.spawn(async move {
            let mut acknowledged = Vec::new();
            for n in (1000 + writer..).step_by(8) {
                let done = match writer {
                    0 => store.insert_if_absent(put(n)).await.map(|found| assert_eq!(found, None)),
                    _ => store.write(vec![Mutation::Put(put(n))]).await,
                };
                match done {
                    Ok(()) => acknowledged.push(n),
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Unavailable);
                        return acknowledged;
                    }
                }
            }
            acknowledged
        });
    }
    while store.get(key(1100)).await.unwrap().is_none() {}
    node.kill().unwrap();
    let acknowledged: Vec<u32> = writers.join_all().await.into_iter().flatten().collect();
    assert!(acknowledged.len() > 10, "{}", acknowledged.len());
    every_call_is_unavailable(&store).await;

    let node = tokio::task::spawn_blocking(move || node.start_again().map(|()| node)).await.unwrap().unwrap();
    let start = Instant::now();
    while store.get(key(1)).await.is_err() {
        assert!(start.elapsed() < RECOVERY_LIMIT, "the engine does not find the database again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for numbers in acknowledged.chunks(500) {
        let values = store.get_many(numbers.iter().map(|n| key(*n)).collect()).await.unwrap();
        let lost: Vec<_> = numbers.iter().zip(values).filter(|(_, value)| value.is_none()).collect();
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    }

    // A database that hangs: connections stay open, nothing answers.
    store.write(vec![Mutation::Put(put(1))]).await.unwrap();
    node.pause().unwrap();
    every_call_is_unavailable(&store).await;
    node.resume().unwrap();
    while store.get(key(1)).await.is_err() {
        assert!(start.elapsed() < RECOVERY_LIMIT, "the engine does not find the database again");
    }
    // What hung may have been done late, and hides nothing that was written after it.
    let later = Put { value: Bytes::from_static(b"later"), ..put(1) };
    store.write(vec![Mutation::Put(later)]).await.unwrap();
    assert_eq!(store.get(key(1)).await.unwrap(), Some(Bytes::from_static(b"later")));
}
