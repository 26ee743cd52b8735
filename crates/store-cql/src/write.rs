//! Plain writes.
//!
//! The mutations of one partition become one unlogged batch, which the database applies whole and shows whole; their
//! order is that of their timestamps. Partitions are written at the same time, but in steps: what says which rows have to be
//! removed one day (`retained`), then those of `messages` and the memory of client ids, then the others. So no message is
//! missed by the sweep, and what tells how far a log has come is never ahead of it, whenever a write is cut off. The days of a channel are partitions of
//! their own: they are written one after the other, the oldest first, so that a reader who sees a row has not missed
//! an older one (reading goes from the newest to the oldest, see [`crate::walk`]).

use std::collections::{BTreeSet, HashMap};

use bulkhead_model::{ErrorKind, Result};
use bulkhead_store::{Mutation, WRITE_MUTATIONS_MAX, check_deadline, tables};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::bind::{Bind, Place};
use crate::bucket::{bucket_of, bucket_range, ends_of, is_bucketed};
use crate::client::Bound;
use crate::engine::Engine;
use crate::row::{Cell, check_clustering, check_key, check_partition};
use crate::statements::TableStatements;

/// Partitions of one write that are written at the same time.
const PARTITIONS_AT_ONCE: usize = 256;

/// Most bytes of keys and values for one partition in one write: the database refuses a mutation over half of a segment
/// of its commit log, which is 16 MiB unless an operator changed it.
const PARTITION_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A change within a partition.
enum Change {
    Put { clustering: Bytes, cell: Cell },
    Delete { clustering: Bytes },
    DeleteRange { from: Bytes, to: Bytes },
}

/// What happens to one partition of the database, in order.
struct PartitionWrite {
    place: Place,
    changes: Vec<Change>,
    bytes: usize,
}

/// Applies the mutations, unless `deadline_ms` has come when the database is about to get them; what was not given to it
/// until then is not given to it later.
pub(crate) async fn write(engine: &Engine, mutations: Vec<Mutation>, deadline_ms: Option<u64>) -> Result<()> {
    if mutations.len() > WRITE_MUTATIONS_MAX {
        return Err(ErrorKind::InvalidArgument.with("too many mutations in one write"));
    }
    mutations.iter().try_for_each(check)?;
    let buckets = buckets_of_ranges(engine, &mutations).await?;
    let chains = chains_of(engine, mutations, &buckets)?;
    register(engine, &chains).await?;

    let longest = chains.iter().flatten().map(|partition| partition.changes.len()).max().unwrap_or(0);
    let first_us = engine.timestamps.reserve(longest);
    let mut steps = [const { Vec::new() }; 3];
    for chain in chains {
        let table = chain.first().map_or("", |partition| partition.place.table);
        steps[step_of(table)].push(chain);
    }
    for chains in steps.into_iter().filter(|chains| !chains.is_empty()) {
        if let Some(deadline_ms) = deadline_ms {
            check_deadline(deadline_ms, engine.clock.now_ms())?;
        }
        let writing = chains.into_iter().map(|chain| async move {
            for partition in chain {
                let statements = engine.statements.of_name(partition.place.table)?;
                engine.client.apply(bound(statements, partition, first_us)).await?;
            }
            Ok::<_, bulkhead_model::Error>(())
        });
        stream::iter(writing).buffer_unordered(PARTITIONS_AT_ONCE).try_collect::<()>().await?;
    }
    Ok(())
}

fn step_of(table: &str) -> usize {
    match table {
        _ if table == tables::RETAINED.name => 0,
        _ if table == tables::MESSAGES.name || table == tables::DEDUP.name => 1,
        _ => 2,
    }
}

fn check(mutation: &Mutation) -> Result<()> {
    match mutation {
        Mutation::Put(put) => check_key(&put.key),
        Mutation::Delete(key) => check_key(key),
        Mutation::DeleteRange { partition, from, to, .. } => {
            check_partition(partition)?;
            check_clustering(from)?;
            check_clustering(to)
        }
    }
}

/// The days, by undivided partition, that a deletion of a range has to visit: those that have rows, and those that get
/// some in the same write.
async fn buckets_of_ranges(engine: &Engine, mutations: &[Mutation]) -> Result<HashMap<Place, BTreeSet<i32>>> {
    let mut buckets = HashMap::new();
    for mutation in mutations {
        let Mutation::DeleteRange { table, scope, partition, .. } = mutation else { continue };
        let place = Place::undivided(table, *scope, partition);
        if is_bucketed(table) && !buckets.contains_key(&place) {
            let known = engine.buckets(&place, i32::MIN, i32::MAX).await?;
            buckets.insert(place, BTreeSet::from_iter(known));
        }
    }
    if !buckets.is_empty() {
        for mutation in mutations {
            let Mutation::Put(put) = mutation else { continue };
            let place = Place::undivided(put.key.table, put.key.scope, &put.key.partition);
            if let Some(days) = buckets.get_mut(&place) {
                days.insert(bucket_of(&put.key.clustering));
            }
        }
    }
    Ok(buckets)
}

/// The changes of each partition. One chain is one partition of the port: its days, from the oldest to the newest.
fn chains_of(
    engine: &Engine,
    mutations: Vec<Mutation>,
    buckets: &HashMap<Place, BTreeSet<i32>>,
) -> Result<Vec<Vec<PartitionWrite>>> {
    let now_ms = engine.clock.now_ms();
    let mut chains: Vec<Vec<PartitionWrite>> = Vec::new();
    let mut known: HashMap<Place, usize> = HashMap::new();
    let mut add = |place: Place, change: Change, bytes: usize| {
        let undivided = Place { bucket: None, ..place.clone() };
        let chain = *known.entry(undivided).or_insert_with(|| {
            chains.push(Vec::new());
            chains.len() - 1
        });
        let chain = &mut chains[chain];
        let at = chain.binary_search_by_key(&place.bucket, |partition| partition.place.bucket);
        let at = at.unwrap_or_else(|at| {
            chain.insert(at, PartitionWrite { place, changes: Vec::new(), bytes: 0 });
            at
        });
        chain[at].changes.push(change);
        chain[at].bytes += bytes;
    };
    for mutation in mutations {
        match mutation {
            Mutation::Put(put) => {
                engine.statements.of(put.key.table)?;
                let place = Place::of(put.key.table, put.key.scope, &put.key.partition, &put.key.clustering);
                let cell = Cell::of(&put, now_ms);
                let bytes = put.key.clustering.len() + cell.packed.len();
                add(place, Change::Put { clustering: put.key.clustering, cell }, bytes);
            }
            Mutation::Delete(key) => {
                engine.statements.of(key.table)?;
                let place = Place::of(key.table, key.scope, &key.partition, &key.clustering);
                let bytes = key.clustering.len();
                add(place, Change::Delete { clustering: key.clustering }, bytes);
            }
            Mutation::DeleteRange { table, scope, partition, from, to } => {
                engine.statements.of(table)?;
                if !to.is_empty() && from >= to {
                    continue;
                }
                let undivided = Place::undivided(table, scope, &partition);
                let range = || Change::DeleteRange { from: from.clone(), to: to.clone() };
                let bytes = from.len() + to.len();
                match buckets.get(&undivided) {
                    None => add(undivided, range(), bytes),
                    Some(days) => {
                        let (lowest, highest) = bucket_range(&from, &to);
                        for bucket in days.range(lowest..=highest) {
                            add(Place { bucket: Some(*bucket), ..undivided.clone() }, range(), bytes);
                        }
                    }
                }
            }
        }
    }
    if chains.iter().flatten().any(|partition| partition.bytes > PARTITION_BYTES_MAX) {
        return Err(ErrorKind::InvalidArgument.with("too many bytes for one partition in one write"));
    }
    Ok(chains)
}

/// Makes the days that get rows known before the rows are there, or a reader would not look for them.
async fn register(engine: &Engine, chains: &[Vec<PartitionWrite>]) -> Result<()> {
    let registering = chains.iter().filter_map(|chain| {
        let entries: BTreeSet<(i32, i32)> = chain
            .iter()
            .filter_map(|partition| Some((partition.place.bucket?, &partition.changes)))
            .flat_map(|(bucket, changes)| changes.iter().map(move |change| (bucket, change)))
            .filter_map(|(bucket, change)| match change {
                Change::Put { cell, .. } => Some((bucket, ends_of(cell.expires_ms))),
                Change::Delete { .. } | Change::DeleteRange { .. } => None,
            })
            .collect();
        (!entries.is_empty()).then(|| engine.register(&chain[0].place, entries))
    });
    let registering: Vec<_> = registering.collect();
    stream::iter(registering).buffer_unordered(PARTITIONS_AT_ONCE).try_collect::<()>().await
}

fn bound(statements: &TableStatements, partition: PartitionWrite, first_us: i64) -> Vec<Bound<'_>> {
    let PartitionWrite { place, changes, .. } = partition;
    let bound = changes.into_iter().zip(first_us..).map(|(change, timestamp_us)| {
        let timestamp = Bind::Long(timestamp_us);
        match change {
            Change::Put { clustering, cell } => {
                let before = [timestamp, Bind::Int(cell.ttl_s), Bind::Blob(cell.packed)];
                (&statements.put, place.between(before, [Bind::Blob(clustering)]))
            }
            Change::Delete { clustering } => {
                (&statements.delete, place.between([timestamp], [Bind::Blob(clustering)]))
            }
            Change::DeleteRange { from, to } if to.is_empty() => {
                (&statements.delete_from, place.between([timestamp], [Bind::Blob(from)]))
            }
            Change::DeleteRange { from, to } => {
                let bounds = [Bind::Blob(from), Bind::Blob(to)];
                (&statements.delete_between, place.between([timestamp], bounds))
            }
        }
    });
    bound.collect()
}
