//! What is over leaves the database: days of a log as whole partitions, single rows at the timestamp that they had.

use std::collections::BTreeMap;

use bulkhead_model::{MESSAGE_EPOCH_MS, MessageId, Result};
use bulkhead_store::{Mutation, RowKey, RowRange};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::bind::{Bind, Place};
use crate::bucket::{DAY_MS, bucket_range, is_bucketed};
use crate::engine::Engine;
use crate::index::Entry;
use crate::row::{check_clustering, check_key, check_partition, unpack};
use crate::write::write;

/// Days of one log that are forgotten at the same time.
const DAYS_AT_ONCE: usize = 8;

/// Removes a range of rows that nobody is served any more.
pub(crate) async fn forget_range(engine: &Engine, range: RowRange) -> Result<()> {
    let RowRange { table, scope, partition, from, to } = range;
    check_partition(&partition)?;
    check_clustering(&from)?;
    check_clustering(&to)?;
    if !to.is_empty() && from >= to {
        return Ok(());
    }
    if !is_bucketed(table) {
        return write(engine, vec![Mutation::DeleteRange { table, scope, partition, from, to }], None).await;
    }
    let place = Place::undivided(table, scope, &partition);
    let (lowest, highest) = bucket_range(&from, &to);
    let mut days: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for (day, ends) in engine.entries(&place, lowest, highest).await? {
        days.entry(day).or_default().push(ends);
    }
    let forgetting: Vec<_> =
        days.into_iter().map(|(day, ends)| forget_in_day(engine, &place, day, ends, &from, &to)).collect();
    stream::iter(forgetting).buffer_unordered(DAYS_AT_ONCE).try_collect().await
}

/// Removes a row if its value is still this one. The deletion has the timestamp of the value, so that whatever was written
/// after it stays, whenever it arrives.
pub(crate) async fn delete_unchanged(engine: &Engine, key: RowKey, value: Bytes) -> Result<()> {
    check_key(&key)?;
    let statements = engine.statements.of(key.table)?;
    let place = Place::of(key.table, key.scope, &key.partition, &key.clustering);
    let values = place.between([], [Bind::Blob(key.clustering.clone())]);
    let rows = engine.client.rows::<(Option<Bytes>, Option<i64>)>(&statements.stamped, values).await?;
    let Some((Some(packed), Some(timestamp_us))) = rows.into_iter().next() else { return Ok(()) };
    if unpack(&packed, engine.clock.now_ms()) != Some(value) {
        return Ok(());
    }
    let values = place.between([Bind::Long(timestamp_us)], [Bind::Blob(key.clustering)]);
    engine.client.apply(vec![(&statements.delete, values)]).await
}

async fn forget_in_day(
    engine: &Engine,
    place: &Place,
    day: i32,
    ends: Vec<i32>,
    from: &Bytes,
    to: &Bytes,
) -> Result<()> {
    let statements = engine.statements.of_name(place.table)?;
    let of_day = Place { bucket: Some(day), ..place.clone() };
    let timestamp = Bind::Long(engine.timestamps.reserve(1));
    let (begin, end) = (begin_of(day), begin_of(day + 1));
    if !to.is_empty() && *to <= begin {
        return Ok(());
    }
    if *from <= begin && (to.is_empty() || *to >= end) {
        let Some(index) = &statements.index else { return Ok(()) };
        let values = of_day.between([timestamp.clone()], []);
        engine.client.apply(vec![(&index.forget_rows, values.clone())]).await?;
        // The entry goes last: without it nobody would find what is left of the day.
        engine.client.apply(vec![(&index.forget_entries, values)]).await?;
        for ends in ends {
            engine.registered.invalidate(&Entry::of(place, day, ends));
        }
        return Ok(());
    }
    let bound = if to.is_empty() {
        (&statements.delete_from, of_day.between([timestamp], [Bind::Blob(from.clone())]))
    } else {
        let bounds = [Bind::Blob(from.clone()), Bind::Blob(to.clone())];
        (&statements.delete_between, of_day.between([timestamp], bounds))
    };
    engine.client.apply(vec![bound]).await
}

/// The lowest clustering key of a day.
fn begin_of(day: i32) -> Bytes {
    let begin_ms = MESSAGE_EPOCH_MS + day as u64 * DAY_MS;
    Bytes::copy_from_slice(&MessageId::floor_of(begin_ms).0.to_be_bytes())
}
