//! Durable appends: one caller that waits for each, and 128 that write at once.

use std::sync::Arc;

use bulkhead_model::{AppUuid, ManualClock, Region};
use bulkhead_store::{Mutation, Put, RowKey, Scope, Store, tables};
use bulkhead_store_embedded::EmbeddedStore;
use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn put(channel: u64, id: u64) -> Vec<Mutation> {
    let key = RowKey {
        table: &tables::MESSAGES,
        scope: Scope::App(AppUuid([1; 16])),
        partition: Bytes::from(format!("g:{channel}")),
        clustering: Bytes::copy_from_slice(&id.to_be_bytes()),
    };
    vec![Mutation::Put(Put { key, value: Bytes::from(vec![7; 300]), expires_in_ms: None })]
}

fn append(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let clock = Arc::new(ManualClock::at(1_800_000_000_000));
    let store = EmbeddedStore::open(folder.path(), Region::Singapore, clock).expect("the store opens");
    let mut id = 0;
    let mut group = criterion.benchmark_group("append");
    for writers in [1, 128] {
        group.throughput(Throughput::Elements(writers));
        group.bench_function(format!("{writers} at once"), |bencher| {
            bencher.iter(|| {
                id += 1;
                runtime.block_on(async {
                    let mut writes = tokio::task::JoinSet::new();
                    for channel in 0..writers {
                        let store = store.clone();
                        writes.spawn(async move { store.write(put(channel, id)).await });
                    }
                    while let Some(outcome) = writes.join_next().await {
                        outcome.expect("no panic").expect("the write is durable");
                    }
                });
            });
        });
    }
}

criterion_group!(benches, append);
criterion_main!(benches);
