//! Reads, on the caller's thread.

use std::ops::Range;

use bulkhead_model::{ErrorKind, Result};
use bulkhead_store::{Row, RowKey, SCAN_ROWS_MAX, Scan, Table};
use bytes::Bytes;
use fjall::{Guard, Readable};

use crate::row;
use crate::trees::{Trees, engine_error};

/// The values of rows, in the order of the keys; none for a row that is missing or has expired.
///
/// All of one snapshot: without it a tree shows a commit row by row, as it is applied.
pub(crate) fn get_many(trees: &Trees, keys: &[RowKey], now_ms: u64) -> Result<Vec<Option<Bytes>>> {
    if keys.len() > SCAN_ROWS_MAX {
        return Err(ErrorKind::InvalidArgument.with("too many keys in one get"));
    }
    let snapshot = trees.snapshot();
    let value_of = |key: &RowKey| {
        let (_, tree) = trees.of(key.table)?;
        let stored = snapshot.get(tree, row::key_of(key)?).map_err(engine_error)?;
        Ok(stored.and_then(|stored| row::unpack(&Bytes::from(stored), now_ms)))
    };
    keys.iter().map(value_of).collect()
}

/// The rows of a partition within bounds, of one snapshot.
pub(crate) fn scan(trees: &Trees, scan: &Scan, now_ms: u64) -> Result<Vec<Row>> {
    if scan.limit == 0 || scan.limit > SCAN_ROWS_MAX {
        return Err(ErrorKind::InvalidArgument.with("a scan reads 1-1000 rows"));
    }
    let prefix = row::prefix_of(scan.scope, &scan.partition)?;
    let Some(bounds) = bounds(&prefix, &scan.from, &scan.to)? else { return Ok(Vec::new()) };
    let (_, tree) = trees.of(scan.table)?;
    let range = trees.snapshot().range(tree, bounds);
    if scan.descending {
        page(range.rev(), prefix.len(), scan.limit, now_ms)
    } else {
        page(range, prefix.len(), scan.limit, now_ms)
    }
}

fn page(range: impl Iterator<Item = Guard>, prefix: usize, limit: usize, now_ms: u64) -> Result<Vec<Row>> {
    let mut rows = Vec::with_capacity(limit.min(64));
    for guard in range {
        let (key, stored) = guard.into_inner().map_err(engine_error)?;
        if let Some(value) = row::unpack(&Bytes::from(stored), now_ms) {
            rows.push(Row { clustering: Bytes::from(key).slice(prefix..), value });
            if rows.len() == limit {
                break;
            }
        }
    }
    Ok(rows)
}

/// The first tree keys within bounds, whether their rows have expired or not.
pub(crate) fn keys(
    trees: &Trees,
    table: &Table,
    bounds: Range<Vec<u8>>,
    limit: usize,
) -> Result<Vec<Vec<u8>>> {
    let (_, tree) = trees.of(table)?;
    let found = trees.snapshot().range(tree, bounds).take(limit).map(|guard| Ok(guard.key()?.to_vec()));
    found.collect::<fjall::Result<_>>().map_err(engine_error)
}

/// The tree keys of `from <= clustering < to` behind a prefix; an empty `to` ends with the partition. `None` for an
/// empty range.
pub(crate) fn bounds(prefix: &[u8], from: &[u8], to: &[u8]) -> Result<Option<Range<Vec<u8>>>> {
    row::check_clustering(from)?;
    row::check_clustering(to)?;
    let low = [prefix, from].concat();
    let high = if to.is_empty() { successor(prefix) } else { [prefix, to].concat() };
    Ok((low < high).then_some(low..high))
}

/// The lowest key above every key that starts with `prefix`, which is one of [`row::prefix_of`].
fn successor(prefix: &[u8]) -> Vec<u8> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX).expect("a prefix starts with 0 or 1");
    let mut high = prefix[..=last].to_vec();
    high[last] += 1;
    high
}
