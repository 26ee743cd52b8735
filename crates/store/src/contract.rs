//! The contract that every implementation of the port passes.
//!
//! An implementation's test calls [`run_all`] with a function that makes a [`Fixture`]; every check gets a store of its
//! own. A check that fails panics with the promise that was broken. Run it on a runtime with several threads: some
//! checks need callers that really are at the same time.

use std::collections::BTreeMap;
use std::sync::Arc;

use bulkhead_model::{AppUuid, Clock, Entropy, ErrorKind, ManualClock, SeededEntropy};
use bytes::Bytes;

use crate::{
    Mutation, Put, Retention, RowKey, SCAN_ROWS_MAX, Scan, Scope, Store, Table, WRITE_MUTATIONS_MAX, tables,
};

/// An empty store and the clock that it reads.
pub struct Fixture {
    pub store: Arc<dyn Store>,
    pub clock: Arc<ManualClock>,
    /// Dropped after the store, for folders and servers that have to outlive it.
    pub keep: Box<dyn std::any::Any + Send>,
}

/// Runs every check, each on a store of its own.
pub async fn run_all<F, Fut>(make: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Fixture>,
{
    values_read_back(&make().await).await;
    partitions_tables_and_scopes_are_apart(&make().await).await;
    scans_are_ordered_and_bounded(&make().await).await;
    ranges_are_deleted_within_their_bounds(&make().await).await;
    mutations_of_one_write_apply_in_order(&make().await).await;
    readers_see_a_write_whole_or_not_at_all(&make().await).await;
    insert_if_absent_lets_one_win(&make().await).await;
    compare_and_set_compares(&make().await).await;
    rows_expire(&make().await).await;
    a_write_comes_before_its_deadline_or_not_at_all(&make().await).await;
    limits_are_kept(&make().await).await;
    random_work_agrees_with_a_model(&make().await).await;
}

const APP: Scope = Scope::App(AppUuid([0xA1; 16]));
const OTHER_APP: Scope = Scope::App(AppUuid([0xA2; 16]));

fn key(scope: Scope, table: &'static Table, partition: &str, clustering: &str) -> RowKey {
    RowKey { table, scope, partition: bytes(partition), clustering: bytes(clustering) }
}

fn row(partition: &str, clustering: &str) -> RowKey {
    key(APP, &tables::USERS, partition, clustering)
}

fn put(key: RowKey, value: &str) -> Mutation {
    Mutation::Put(Put { key, value: bytes(value), expires_in_ms: None })
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn whole(partition: &str) -> Scan {
    Scan {
        table: &tables::USERS,
        scope: APP,
        partition: bytes(partition),
        from: Bytes::new(),
        to: Bytes::new(),
        descending: false,
        limit: SCAN_ROWS_MAX,
    }
}

async fn clusterings(store: &dyn Store, scan: Scan) -> Vec<String> {
    let rows = store.scan(scan).await.expect("the scan succeeds");
    rows.iter().map(|row| String::from_utf8_lossy(&row.clustering).into_owned()).collect()
}

async fn values_read_back(fixture: &Fixture) {
    let store = &fixture.store;
    assert_eq!(store.get(row("p", "c")).await.unwrap(), None, "a row that was never written is absent");
    store.write(vec![put(row("p", "c"), "one")]).await.unwrap();
    assert_eq!(store.get(row("p", "c")).await.unwrap(), Some(bytes("one")));
    store.write(vec![put(row("p", "c"), "two")]).await.unwrap();
    assert_eq!(store.get(row("p", "c")).await.unwrap(), Some(bytes("two")), "a put overwrites");
    store.write(vec![Mutation::Delete(row("p", "c"))]).await.unwrap();
    assert_eq!(store.get(row("p", "c")).await.unwrap(), None, "a delete removes");
    store.write(vec![]).await.unwrap();

    let large = Bytes::from(vec![0x5A; 1024 * 1024]);
    let rows = vec![
        Mutation::Put(Put { key: row("p", "empty"), value: Bytes::new(), expires_in_ms: None }),
        Mutation::Put(Put { key: row("p", "large"), value: large.clone(), expires_in_ms: None }),
    ];
    store.write(rows).await.unwrap();
    let keys = vec![row("p", "large"), row("p", "missing"), row("p", "empty")];
    let values = store.get_many(keys).await.unwrap();
    assert_eq!(values, [Some(large), None, Some(Bytes::new())], "values come in the order of the keys");
}

async fn partitions_tables_and_scopes_are_apart(fixture: &Fixture) {
    let store = &fixture.store;
    let keys = [
        key(APP, &tables::USERS, "a", "bc"),
        key(APP, &tables::USERS, "ab", "c"),
        key(APP, &tables::USERS, "abc", ""),
        key(APP, &tables::TOKENS, "a", "bc"),
        key(OTHER_APP, &tables::USERS, "a", "bc"),
        key(Scope::Region, &tables::USERS, "a", "bc"),
    ];
    let writes = keys.iter().enumerate().map(|(n, key)| put(key.clone(), &n.to_string())).collect();
    store.write(writes).await.unwrap();
    for (n, key) in keys.iter().enumerate() {
        assert_eq!(store.get(key.clone()).await.unwrap(), Some(bytes(&n.to_string())), "row {n}");
    }
    assert_eq!(clusterings(&**store, whole("a")).await, ["bc"], "a scan stays in its partition");
    assert_eq!(clusterings(&**store, whole("abc")).await, [""]);
}

async fn scans_are_ordered_and_bounded(fixture: &Fixture) {
    let store = &fixture.store;
    // Written out of order; \u{10FFFF} ends in high bytes, and the empty clustering key sorts first.
    let names = ["b", "", "d", "a", "\u{10FFFF}", "c", "ab"];
    store.write(names.iter().map(|name| put(row("p", name), name)).collect()).await.unwrap();
    let ordered = ["", "a", "ab", "b", "c", "d", "\u{10FFFF}"];
    assert_eq!(clusterings(&**store, whole("p")).await, ordered);
    let mut reversed = ordered;
    reversed.reverse();
    assert_eq!(clusterings(&**store, Scan { descending: true, ..whole("p") }).await, reversed);

    let bounded = Scan { from: bytes("a"), to: bytes("c"), ..whole("p") };
    assert_eq!(clusterings(&**store, bounded.clone()).await, ["a", "ab", "b"], "from is in, to is out");
    let limited = Scan { limit: 2, ..bounded.clone() };
    assert_eq!(clusterings(&**store, limited).await, ["a", "ab"], "a limit keeps the first rows");
    let limited = Scan { limit: 2, descending: true, ..bounded };
    assert_eq!(clusterings(&**store, limited).await, ["b", "ab"], "of a descending scan the last");
    let nothing = Scan { from: bytes("c"), to: bytes("a"), ..whole("p") };
    assert_eq!(clusterings(&**store, nothing).await, [""; 0], "an empty range has no rows");
    let values = store.scan(Scan { from: bytes("d"), limit: 1, ..whole("p") }).await.unwrap();
    assert_eq!(values[0].value, bytes("d"), "a row comes with its value");
}

async fn ranges_are_deleted_within_their_bounds(fixture: &Fixture) {
    let store = &fixture.store;
    let fill = || {
        let rows = ["a", "b", "c", "d"].iter().map(|name| put(row("p", name), name));
        rows.chain([put(row("q", "b"), "kept")]).collect::<Vec<_>>()
    };
    let range = |from: &str, to: &str| Mutation::DeleteRange {
        table: &tables::USERS,
        scope: APP,
        partition: bytes("p"),
        from: bytes(from),
        to: bytes(to),
    };
    store.write(fill()).await.unwrap();
    store.write(vec![range("b", "d")]).await.unwrap();
    assert_eq!(clusterings(&**store, whole("p")).await, ["a", "d"]);
    store.write(fill()).await.unwrap();
    store.write(vec![range("c", "")]).await.unwrap();
    assert_eq!(clusterings(&**store, whole("p")).await, ["a", "b"], "an empty bound is open");
    store.write(vec![range("", "")]).await.unwrap();
    assert_eq!(clusterings(&**store, whole("p")).await, [""; 0]);
    assert_eq!(clusterings(&**store, whole("q")).await, ["b"], "another partition is untouched");
}

async fn mutations_of_one_write_apply_in_order(fixture: &Fixture) {
    let store = &fixture.store;
    let all = || Mutation::DeleteRange {
        table: &tables::USERS,
        scope: APP,
        partition: bytes("p"),
        from: Bytes::new(),
        to: Bytes::new(),
    };
    store.write(vec![put(row("p", "old"), "old")]).await.unwrap();
    let write = vec![
        put(row("p", "a"), "first"),
        put(row("p", "a"), "second"),
        put(row("p", "gone"), "gone"),
        all(),
        put(row("p", "b"), "before"),
        Mutation::Delete(row("p", "b")),
        put(row("p", "c"), "kept"),
    ];
    store.write(write).await.unwrap();
    assert_eq!(clusterings(&**store, whole("p")).await, ["c"]);
}

async fn readers_see_a_write_whole_or_not_at_all(fixture: &Fixture) {
    const ROWS: usize = 200;
    let names = || (0..ROWS).map(|n| format!("{n:03}"));
    let store = fixture.store.clone();
    let writing = tokio::spawn(async move {
        for round in 0..100 {
            store
                .write(names().map(|name| put(row("p", &name), &round.to_string())).collect())
                .await
                .unwrap();
        }
    });
    while !writing.is_finished() {
        let scanned = fixture.store.scan(whole("p")).await.unwrap();
        assert!([0, ROWS].contains(&scanned.len()), "a scan saw a part of the first write");
        assert!(scanned.windows(2).all(|two| two[0].value == two[1].value), "a scan saw a part of a write");
        let keys = names().map(|name| row("p", &name)).collect();
        let got = fixture.store.get_many(keys).await.unwrap();
        assert!(got.windows(2).all(|two| two[0] == two[1]), "a get saw a part of a write");
    }
    writing.await.unwrap();
}

async fn insert_if_absent_lets_one_win(fixture: &Fixture) {
    let mut attempts = tokio::task::JoinSet::new();
    for n in 0..100 {
        let store = fixture.store.clone();
        attempts.spawn(async move {
            let insert = Put { key: row("p", "c"), value: bytes(&n.to_string()), expires_in_ms: None };
            (n.to_string(), store.insert_if_absent(insert).await.expect("the insert answers"))
        });
    }
    let mut winners = Vec::new();
    let mut seen = Vec::new();
    while let Some(attempt) = attempts.join_next().await {
        match attempt.expect("no panic") {
            (value, None) => winners.push(value),
            (_, Some(existing)) => seen.push(existing),
        }
    }
    assert_eq!(winners.len(), 1, "exactly one insert wins");
    assert!(seen.iter().all(|existing| *existing == bytes(&winners[0])), "the others see the winner's value");
    assert_eq!(fixture.store.get(row("p", "c")).await.unwrap(), Some(bytes(&winners[0])));
}

async fn compare_and_set_compares(fixture: &Fixture) {
    let store = &fixture.store;
    let set = |expected: Option<&str>, value: &str| {
        store.compare_and_set(row("p", "c"), expected.map(bytes), bytes(value))
    };
    assert!(!set(Some("x"), "y").await.unwrap(), "an absent row equals no value");
    assert!(set(None, "one").await.unwrap(), "an absent row equals none");
    assert!(!set(None, "two").await.unwrap());
    assert!(!set(Some("other"), "two").await.unwrap());
    assert!(set(Some("one"), "two").await.unwrap());
    assert_eq!(store.get(row("p", "c")).await.unwrap(), Some(bytes("two")));

    let mut attempts = tokio::task::JoinSet::new();
    for n in 0..20 {
        let store = store.clone();
        attempts.spawn(async move {
            store
                .compare_and_set(row("p", "c"), Some(bytes("two")), bytes(&n.to_string()))
                .await
                .expect("it answers")
        });
    }
    let mut applied = 0;
    while let Some(attempt) = attempts.join_next().await {
        applied += u32::from(attempt.expect("no panic"));
    }
    assert_eq!(applied, 1, "of many at once exactly one applies");
}

async fn rows_expire(fixture: &Fixture) {
    let store = &fixture.store;
    let short = Put { key: row("p", "short"), value: bytes("v"), expires_in_ms: Some(1000) };
    let long = Put { key: row("p", "long"), value: bytes("v"), expires_in_ms: Some(2000) };
    let Retention::Fixed { ms: fixed_ms } = tables::DEDUP.retention else {
        panic!("dedup has a fixed retention")
    };
    let fixed = key(APP, &tables::DEDUP, "p", "fixed");
    store
        .write(vec![
            Mutation::Put(short),
            Mutation::Put(long),
            put(row("p", "ever"), "v"),
            put(fixed.clone(), "v"),
        ])
        .await
        .unwrap();
    fixture.clock.advance_ms(999);
    assert_eq!(clusterings(&**store, whole("p")).await, ["ever", "long", "short"], "not before its time");
    fixture.clock.advance_ms(1);
    assert_eq!(clusterings(&**store, whole("p")).await, ["ever", "long"]);
    assert_eq!(store.get(row("p", "short")).await.unwrap(), None);
    let again = Put { key: row("p", "short"), value: bytes("new"), expires_in_ms: None };
    assert_eq!(store.insert_if_absent(again).await.unwrap(), None, "an expired row is absent");
    let brief = Put { key: row("q", "brief"), value: bytes("v"), expires_in_ms: Some(0) };
    store.write(vec![Mutation::Put(brief)]).await.unwrap();
    let set = store.compare_and_set(row("q", "brief"), Some(bytes("v")), bytes("w")).await;
    assert_eq!(set, Ok(false), "an expired row equals no value");
    let set = store.compare_and_set(row("q", "brief"), None, bytes("w")).await;
    assert_eq!(set, Ok(true), "an expired row equals none");
    // A write without an expiry of its own replaces the expiry too.
    store.write(vec![put(row("p", "long"), "w")]).await.unwrap();
    fixture.clock.advance_ms(fixed_ms - 1001);
    assert_eq!(clusterings(&**store, whole("p")).await, ["ever", "long", "short"]);
    assert_eq!(
        store.get(fixed.clone()).await.unwrap(),
        Some(bytes("v")),
        "the table's retention is not over"
    );
    fixture.clock.advance_ms(1);
    assert_eq!(store.get(fixed).await.unwrap(), None, "the table's retention applies");
}

async fn a_write_comes_before_its_deadline_or_not_at_all(fixture: &Fixture) {
    let Fixture { store, clock, .. } = fixture;
    let now_ms = clock.now_ms();
    let write = async |clustering: &str, deadline_ms| {
        store.write_before(vec![put(row("p", clustering), "1")], deadline_ms).await
    };
    write("early", now_ms + 1).await.unwrap();
    for late in [now_ms, now_ms - 1, 0] {
        assert_eq!(write("late", late).await.unwrap_err().kind(), ErrorKind::Timeout);
    }
    clock.advance_ms(1000);
    assert_eq!(write("late", now_ms + 1000).await.unwrap_err().kind(), ErrorKind::Timeout);
    write("in time", now_ms + 1001).await.unwrap();
    assert_eq!(clusterings(&**store, whole("p")).await, ["early", "in time"]);
}

async fn limits_are_kept(fixture: &Fixture) {
    let store = &fixture.store;
    let kind = |error: bulkhead_model::Error| error.kind();
    let longest = "k".repeat(1024);
    store.write(vec![put(row(&longest, &longest), "v")]).await.unwrap();
    assert_eq!(store.get(row(&longest, &longest)).await.unwrap(), Some(bytes("v")));
    let too_long = "k".repeat(1025);
    for wrong in [row("", "c"), row(&too_long, "c"), row("p", &too_long)] {
        let write = store.write(vec![put(row("p", "innocent"), "v"), put(wrong.clone(), "v")]).await;
        assert_eq!(write.map_err(kind), Err(ErrorKind::InvalidArgument));
        assert_eq!(store.get(wrong.clone()).await.map_err(kind), Err(ErrorKind::InvalidArgument));
        let insert = Put { key: wrong.clone(), value: bytes("v"), expires_in_ms: None };
        assert_eq!(store.insert_if_absent(insert).await.map_err(kind), Err(ErrorKind::InvalidArgument));
        let set = store.compare_and_set(wrong, None, bytes("v")).await;
        assert_eq!(set.map_err(kind), Err(ErrorKind::InvalidArgument));
    }
    let range = Mutation::DeleteRange {
        table: &tables::USERS,
        scope: APP,
        partition: Bytes::new(),
        from: Bytes::new(),
        to: Bytes::new(),
    };
    assert_eq!(store.write(vec![range]).await.map_err(kind), Err(ErrorKind::InvalidArgument));
    for scan in [whole(""), whole(&too_long), Scan { from: bytes(&too_long), ..whole("p") }] {
        assert_eq!(store.scan(scan).await.map_err(kind), Err(ErrorKind::InvalidArgument));
    }
    assert_eq!(store.get(row("p", "innocent")).await.unwrap(), None, "a refused write changes nothing");
    for limit in [0, SCAN_ROWS_MAX + 1] {
        let scan = store.scan(Scan { limit, ..whole("p") }).await;
        assert_eq!(scan.map_err(kind), Err(ErrorKind::InvalidArgument), "limit {limit}");
    }
    let keys = vec![row("p", "c"); SCAN_ROWS_MAX + 1];
    assert_eq!(store.get_many(keys).await.map_err(kind), Err(ErrorKind::InvalidArgument));
    let write = (0..=WRITE_MUTATIONS_MAX).map(|_| put(row("p", "c"), "v")).collect();
    assert_eq!(store.write(write).await.map_err(kind), Err(ErrorKind::InvalidArgument));
}

/// Rows of the partitions that random work touches, by partition and clustering key.
type Model = BTreeMap<(String, String), String>;

/// Random writes of several mutations and random pages, compared with an ordered map.
async fn random_work_agrees_with_a_model(fixture: &Fixture) {
    for seed in 0..4 {
        let entropy = SeededEntropy::new(seed);
        let draw = |below: u64| entropy.next_u64() % below;
        let partition = || format!("{seed}{}", "p".repeat(1 + draw(3) as usize));
        let clustering = || format!("{:02}", draw(20));
        let mut model = Model::new();
        for step in 0..60 {
            let mut write = Vec::new();
            for part in 0..=draw(6) {
                let (partition, clustering) = (partition(), clustering());
                write.push(match draw(8) {
                    0 => {
                        let to = format!("{:02}", draw(20));
                        model.retain(|(p, c), _| *p != partition || *c < clustering || *c >= to);
                        Mutation::DeleteRange {
                            table: &tables::USERS,
                            scope: APP,
                            partition: bytes(&partition),
                            from: bytes(&clustering),
                            to: bytes(&to),
                        }
                    }
                    1 | 2 => {
                        model.remove(&(partition.clone(), clustering.clone()));
                        Mutation::Delete(row(&partition, &clustering))
                    }
                    _ => {
                        let value = format!("{step}.{part}");
                        let put = put(row(&partition, &clustering), &value);
                        model.insert((partition, clustering), value);
                        put
                    }
                });
            }
            fixture.store.write(write).await.unwrap();
            let scan = Scan {
                from: bytes(&clustering()),
                to: bytes(&clustering()),
                descending: draw(2) == 0,
                limit: 1 + draw(10) as usize,
                ..whole(&partition())
            };
            for scan in [whole(&partition()), scan] {
                let expected = page_of(&model, &scan);
                let found = fixture.store.scan(scan.clone()).await.unwrap();
                assert_eq!(found, expected, "seed {seed}, step {step}, {scan:?}");
            }
        }
    }
}

/// What a scan has to find.
fn page_of(model: &Model, scan: &Scan) -> Vec<crate::Row> {
    let inside = |clustering: &String| {
        clustering.as_bytes() >= &*scan.from && (scan.to.is_empty() || clustering.as_bytes() < &*scan.to)
    };
    let rows = model.iter().filter(|((p, c), _)| p.as_bytes() == &*scan.partition && inside(c));
    let rows = rows.map(|((_, c), value)| crate::Row { clustering: bytes(c), value: bytes(value) });
    let mut rows: Vec<_> = rows.collect();
    if scan.descending {
        rows.reverse();
    }
    rows.truncate(scan.limit);
    rows
}
