//! Reads of rows by key and of a range within one partition of the database.

use std::collections::HashMap;

use bulkhead_model::{ErrorKind, Result};
use bulkhead_store::{Row, RowKey, SCAN_ROWS_MAX};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::bind::{Bind, Place};
use crate::engine::Engine;
use crate::row::{check_key, unpack};

/// Partitions of one get that are read at the same time.
const PARTITIONS_AT_ONCE: usize = 256;

/// A range of one partition of the database.
#[derive(Clone)]
pub(crate) struct Range {
    /// Inclusive.
    pub(crate) from: Bytes,
    /// Exclusive; empty is open.
    pub(crate) to: Bytes,
    pub(crate) descending: bool,
}

/// The values of rows, in the order of the keys. The rows of a partition are read by one statement, and so of one state.
pub(crate) async fn get_many(engine: &Engine, keys: &[RowKey]) -> Result<Vec<Option<Bytes>>> {
    if keys.len() > SCAN_ROWS_MAX {
        return Err(ErrorKind::InvalidArgument.with("too many keys in one get"));
    }
    keys.iter().try_for_each(check_key)?;
    let places: Vec<Place> =
        keys.iter().map(|key| Place::of(key.table, key.scope, &key.partition, &key.clustering)).collect();
    let mut wanted: HashMap<&Place, Vec<usize>> = HashMap::new();
    for (at, place) in places.iter().enumerate() {
        wanted.entry(place).or_default().push(at);
    }
    let reading = wanted.into_iter().map(|(place, positions)| async move {
        let mut clusterings: Vec<Bytes> = positions.iter().map(|at| keys[*at].clustering.clone()).collect();
        clusterings.sort_unstable();
        clusterings.dedup();
        let found = rows_of(engine, place, clusterings).await?;
        Ok::<_, bulkhead_model::Error>((positions, found))
    });
    let now_ms = engine.clock.now_ms();
    let mut values = vec![None; keys.len()];
    let reading: Vec<_> = reading.collect();
    let mut reading = stream::iter(reading).buffer_unordered(PARTITIONS_AT_ONCE);
    while let Some((positions, found)) = reading.try_next().await? {
        for at in positions {
            values[at] = found.get(&keys[at].clustering).and_then(|packed| unpack(packed, now_ms));
        }
    }
    Ok(values)
}

async fn rows_of(engine: &Engine, place: &Place, clusterings: Vec<Bytes>) -> Result<HashMap<Bytes, Bytes>> {
    let statement = &engine.statements.of_name(place.table)?.get;
    let mut found = HashMap::with_capacity(clusterings.len());
    for part in clusterings.chunks(engine.keys_at_once) {
        let values = place.between([], [Bind::Blobs(part.to_vec())]);
        let rows = engine.client.rows::<(Bytes, Option<Bytes>)>(statement, values).await?;
        found.extend(rows.into_iter().filter_map(|(clustering, packed)| Some((clustering, packed?))));
    }
    Ok(found)
}

/// At most `limit` rows of a range that have not expired.
pub(crate) async fn range(engine: &Engine, place: &Place, range: &Range, limit: usize) -> Result<Vec<Row>> {
    let statements = engine.statements.of_name(place.table)?;
    let mut range = range.clone();
    let mut found = Vec::with_capacity(limit.min(64));
    loop {
        let wanted = limit - found.len();
        let directions = if range.to.is_empty() { &statements.scan_from } else { &statements.scan_between };
        let statement = if range.descending { &directions.descending } else { &directions.ascending };
        let wanted_rows = Bind::Int(i32::try_from(wanted).unwrap_or(i32::MAX));
        let from = Bind::Blob(range.from.clone());
        let values = if range.to.is_empty() {
            place.between([], [from, wanted_rows])
        } else {
            place.between([], [from, Bind::Blob(range.to.clone()), wanted_rows])
        };
        let rows = engine.client.rows::<(Bytes, Option<Bytes>)>(statement, values).await?;
        let was_full = rows.len() == wanted;
        let last = rows.last().map(|(clustering, _)| clustering.clone());
        let now_ms = engine.clock.now_ms();
        found.extend(rows.into_iter().filter_map(|(clustering, packed)| {
            unpack(&packed?, now_ms).map(|value| Row { clustering, value })
        }));
        // Rows that have expired and are still there took places of the page: go on behind them.
        let Some(last) = last.filter(|_| was_full && found.len() < limit) else { return Ok(found) };
        if range.descending {
            if last <= range.from || last.is_empty() {
                return Ok(found);
            }
            range.to = last;
        } else {
            range.from = [&last[..], &[0]].concat().into();
        }
    }
}
