//! The log of a channel, whose days are partitions of their own.

use std::sync::Arc;

use bulkhead_model::{AppUuid, ManualClock, MessageId};
use bulkhead_store::{Mutation, Put, RowKey, Scan, Scope, Store, tables};
use bulkhead_store_cql::{CqlStore, migrate};
use bytes::Bytes;
use scylla::client::session_builder::SessionBuilder;

use crate::bed;

const NOW_MS: u64 = 1_800_000_000_000;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
const APP: Scope = Scope::App(AppUuid([7; 16]));

fn id(unix_ms: u64) -> Bytes {
    Bytes::copy_from_slice(&MessageId::new(unix_ms, 3, 0).0.to_be_bytes())
}

fn key(unix_ms: u64) -> RowKey {
    RowKey {
        table: &tables::MESSAGES,
        scope: APP,
        partition: Bytes::from_static(b"channel"),
        clustering: id(unix_ms),
    }
}

fn put(unix_ms: u64, expires_in_ms: Option<u64>) -> Mutation {
    Mutation::Put(Put { key: key(unix_ms), value: Bytes::from(unix_ms.to_string()), expires_in_ms })
}

fn whole() -> Scan {
    Scan {
        table: &tables::MESSAGES,
        scope: APP,
        partition: Bytes::from_static(b"channel"),
        from: Bytes::new(),
        to: Bytes::new(),
        descending: false,
        limit: 1000,
    }
}

async fn times(store: &CqlStore, scan: Scan) -> Vec<u64> {
    let rows = store.scan(scan).await.unwrap();
    rows.iter().map(|row| std::str::from_utf8(&row.value).unwrap().parse().unwrap()).collect()
}

/// Some messages on each of a hundred days up to now, and a store that has them.
async fn a_hundred_days() -> (Arc<CqlStore>, Vec<u64>) {
    let store = bed::new_store(Arc::new(ManualClock::at(NOW_MS))).await.unwrap();
    // Today, and every third day before; three messages each.
    let days = (0..100).step_by(3).map(|back| NOW_MS - back * DAY_MS);
    let mut sent: Vec<u64> = days.flat_map(|day| [day - 2, day - 1, day]).collect();
    sent.sort_unstable();
    store.write(sent.iter().map(|at| put(*at, None)).collect()).await.unwrap();
    (store, sent)
}

#[tokio::test]
async fn a_log_reads_as_one_in_both_directions() {
    let (store, sent) = a_hundred_days().await;
    assert_eq!(times(&store, whole()).await, sent);
    let backwards: Vec<u64> = sent.iter().rev().copied().collect();
    assert_eq!(times(&store, Scan { descending: true, ..whole() }).await, backwards);
    for limit in [1, 4, 7, 100] {
        let page = Scan { limit, ..whole() };
        assert_eq!(times(&store, page.clone()).await, sent[..limit]);
        assert_eq!(times(&store, Scan { descending: true, ..page }).await, backwards[..limit]);
    }
    // From a message in the middle of a day to one in the middle of another.
    let (from, to) = (10, 61);
    let part = Scan { from: id(sent[from]), to: id(sent[to]), ..whole() };
    assert_eq!(times(&store, part.clone()).await, sent[from..to]);
    let part = Scan { descending: true, limit: 5, ..part };
    assert_eq!(times(&store, part).await, sent[from..to].iter().rev().take(5).copied().collect::<Vec<_>>());
}

#[tokio::test]
async fn pages_follow_on_each_other_without_gap_or_repetition() {
    let (store, sent) = a_hundred_days().await;
    let mut from = Bytes::new();
    let mut read = Vec::new();
    loop {
        let rows = store.scan(Scan { from: from.clone(), limit: 7, ..whole() }).await.unwrap();
        let Some(last) = rows.last() else { break };
        from = [&last.clustering[..], &[0]].concat().into();
        read.extend(rows.iter().map(|row| std::str::from_utf8(&row.value).unwrap().parse::<u64>().unwrap()));
    }
    assert_eq!(read, sent);
}

#[tokio::test]
async fn messages_are_found_by_id_and_deleted_by_range() {
    let (store, sent) = a_hundred_days().await;
    let keys: Vec<RowKey> = sent.iter().rev().map(|at| key(*at)).collect();
    let values = store.get_many(keys).await.unwrap();
    assert!(values.iter().zip(sent.iter().rev()).all(|(value, at)| *value == Some(at.to_string().into())));

    let range = |from, to| Mutation::DeleteRange {
        table: &tables::MESSAGES,
        scope: APP,
        partition: Bytes::from_static(b"channel"),
        from,
        to,
    };
    store.write(vec![range(id(sent[4]), id(sent[50]))]).await.unwrap();
    let left: Vec<u64> = sent[..4].iter().chain(&sent[50..]).copied().collect();
    assert_eq!(times(&store, whole()).await, left);
    // In one write: what comes before the deletion is deleted, what comes after it is not.
    let write =
        vec![put(NOW_MS + DAY_MS, None), range(Bytes::new(), Bytes::new()), put(NOW_MS + 2 * DAY_MS, None)];
    store.write(write).await.unwrap();
    assert_eq!(times(&store, whole()).await, [NOW_MS + 2 * DAY_MS]);
}

#[tokio::test]
async fn a_reader_at_midnight_misses_nothing() {
    let midnight = NOW_MS / DAY_MS * DAY_MS;
    let store = bed::new_store(Arc::new(ManualClock::at(midnight))).await.unwrap();
    let sent: Vec<u64> = (0..60).map(|n| midnight - 30 + n).collect();
    let writing = {
        let (store, sent) = (store.clone(), sent.clone());
        tokio::spawn(async move {
            // Two at a time, so that one write lies on both sides of midnight.
            for pair in sent[1..].chunks(2) {
                store.write(pair.iter().map(|at| put(*at, None)).collect()).await.unwrap();
            }
        })
    };
    while !writing.is_finished() {
        for descending in [false, true] {
            let mut seen = times(&store, Scan { descending, ..whole() }).await;
            seen.sort_unstable();
            assert_eq!(seen, sent[1..=seen.len()], "a page has a gap (descending: {descending})");
        }
    }
    writing.await.unwrap();
}

#[tokio::test]
async fn the_days_of_a_channel_are_partitions_of_the_database() {
    let settings = bed::settings(bed::shared().await.unwrap());
    migrate(&settings, 1, NOW_MS).await.unwrap();
    let store = CqlStore::connect(&settings, Arc::new(ManualClock::at(NOW_MS))).await.unwrap();
    let lives_ms = 30 * DAY_MS;
    store.write(vec![put(NOW_MS, Some(lives_ms)), put(NOW_MS - 9 * DAY_MS, Some(lives_ms))]).await.unwrap();
    let operator = SessionBuilder::new().known_nodes(&settings.contact_points).build().await.unwrap();
    let rows =
        async |text: String| operator.query_unpaged(text, &[]).await.unwrap().into_rows_result().unwrap();
    let partitions = format!("SELECT DISTINCT scope, partition, bucket FROM {}.messages", settings.keyspace);
    assert_eq!(rows(partitions).await.rows_num(), 2);
    let ttl = rows(format!("SELECT TTL(value) FROM {}.messages", settings.keyspace)).await;
    let row_ttl_s = ttl.first_row::<(Option<i32>,)>().unwrap().0.expect("the database ends the row too");
    assert!(i64::from(row_ttl_s) > (lives_ms / 1000) as i64, "and not before its time: {row_ttl_s}");
    let index = format!("SELECT bucket, ends FROM {}.messages_buckets", settings.keyspace);
    let ends = rows(index).await.first_row::<(i32, i32)>().unwrap().1;
    assert!(ends as u64 * 7 * DAY_MS >= NOW_MS + lives_ms, "an entry of the index outlives its rows");
}
