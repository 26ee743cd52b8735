//! Sealing and opening one value of a chat message's size.

use std::hint::black_box;

use bulkhead_seal::{DataKey, RowIdentity, open, seal};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn sealing(criterion: &mut Criterion) {
    let key = DataKey::new(1, &mut [7; 32]);
    let place = RowIdentity {
        region: "singapore",
        scope: &[1; 16],
        table: "messages",
        partition: b"d:alice:bob",
        clustering: b"12345678",
    };
    let mut group = criterion.benchmark_group("seal");
    for size in [64, 256, 1024, 4096] {
        let value = vec![0x5A; size];
        let sealed = seal(&key, &place, [1; 12], &value);
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(format!("seal {size} B"), |bencher| {
            bencher.iter(|| seal(&key, &place, [1; 12], black_box(&value)));
        });
        group.bench_function(format!("open {size} B"), |bencher| {
            bencher.iter(|| open(&key, &place, black_box(&sealed)));
        });
    }
}

criterion_group!(benches, sealing);
criterion_main!(benches);
