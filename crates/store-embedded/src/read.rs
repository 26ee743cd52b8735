//! Reads, on the caller's thread.

use std::ops::Bound;

use bulkhead_model::{ErrorKind, Result};
use bulkhead_store::{Row, RowKey, SCAN_ROWS_MAX, Scan};
use bytes::Bytes;

use crate::engine::{Trees, engine_error};
use crate::row;

/// Lower and upper bound of tree keys.
pub(crate) type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// The value of one row, unless it is missing or has expired.
pub(crate) fn get(trees: &Trees, key: &RowKey, now_ms: u64) -> Result<Option<Bytes>> {
    let stored = trees.of(key.table)?.get(row::key_of(key)?).map_err(engine_error)?;
    Ok(stored.and_then(|stored| row::unpack(&Bytes::from(stored), now_ms)))
}

/// The rows of a partition within bounds.
pub(crate) fn scan(trees: &Trees, scan: &Scan, now_ms: u64) -> Result<Vec<Row>> {
    if scan.limit == 0 || scan.limit > SCAN_ROWS_MAX {
        return Err(ErrorKind::InvalidArgument.with("a scan reads 1-1000 rows"));
    }
    let prefix = row::prefix_of(scan.scope, &scan.partition)?;
    let Some(bounds) = bounds(&prefix, &scan.from, &scan.to)? else { return Ok(Vec::new()) };
    let range = trees.of(scan.table)?.range::<Vec<u8>, _>(bounds);
    let mut rows = Vec::with_capacity(scan.limit.min(64));
    let mut take = |guard: fjall::Guard| -> Result<bool> {
        let (key, stored) = guard.into_inner().map_err(engine_error)?;
        if let Some(value) = row::unpack(&Bytes::from(stored), now_ms) {
            let clustering = Bytes::from(key).slice(prefix.len()..);
            rows.push(Row { clustering, value });
        }
        Ok(rows.len() < scan.limit)
    };
    if scan.descending {
        for guard in range.rev() {
            if !take(guard)? {
                break;
            }
        }
    } else {
        for guard in range {
            if !take(guard)? {
                break;
            }
        }
    }
    Ok(rows)
}

/// The bounds of `from <= clustering < to` behind a prefix; an empty `to` ends with the partition. `None` for an empty
/// range.
pub(crate) fn bounds(prefix: &[u8], from: &[u8], to: &[u8]) -> Result<Option<Bounds>> {
    row::check_clustering(from)?;
    row::check_clustering(to)?;
    let low = [prefix, from].concat();
    let high = if to.is_empty() { successor(prefix) } else { Some([prefix, to].concat()) };
    Ok(match high {
        Some(high) if high <= low => None,
        Some(high) => Some((Bound::Included(low), Bound::Excluded(high))),
        None => Some((Bound::Included(low), Bound::Unbounded)),
    })
}

/// The lowest key above every key that starts with `prefix`.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut high = prefix[..=last].to_vec();
    high[last] += 1;
    Some(high)
}
