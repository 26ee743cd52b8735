//! How a row stands in its table, and what a key may be.
//!
//! Expiry and value share one cell (8 bytes of Unix milliseconds, 0 for never ‖ value), because the database reconciles
//! cell by cell: two cells of concurrent writers could end up one from each. The expiry in the cell is what decides,
//! by this process's clock; the database's TTL, which ends a little later, only gives the space back.

use bulkhead_model::{ErrorKind, Result};
use bulkhead_store::{Put, RowKey, Scope};
use bytes::{BufMut, Bytes, BytesMut};

/// Most bytes of a partition or clustering key.
const KEY_BYTES_MAX: usize = 1024;

/// Bytes of expiry in front of each value.
const EXPIRY_BYTES: usize = 8;

/// How much longer than the row the database keeps the cell, in seconds: no difference between the clocks of two
/// storage processes within it makes a row vanish early.
const TTL_SLACK_S: u64 = 60;

/// Longest TTL that is given to the database, in seconds (five years): it cannot express an end beyond January 2038.
/// A row that lives longer is hidden when its time comes and not removed.
const TTL_S_MAX: u64 = 5 * 365 * 24 * 60 * 60;

/// A row's cell as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) packed: Bytes,
    /// Seconds for the database; 0 for none.
    pub(crate) ttl_s: i32,
    /// Unix milliseconds; 0 for never.
    pub(crate) expires_ms: u64,
}

impl Cell {
    /// The cell of a value that lives from `now_ms` on as long as the writer or the table says.
    pub(crate) fn of(put: &Put, now_ms: u64) -> Self {
        let lives_ms = put.expires_in_ms.or(put.key.table.retention.own_life_ms());
        let expires_ms = lives_ms.map_or(0, |ms| now_ms.saturating_add(ms).max(1));
        let mut packed = BytesMut::with_capacity(EXPIRY_BYTES + put.value.len());
        packed.put_u64(expires_ms);
        packed.put_slice(&put.value);
        Self { packed: packed.freeze(), ttl_s: lives_ms.map_or(0, ttl_s), expires_ms }
    }
}

/// The TTL for something that is needed for this long, in seconds; 0 for none.
pub(crate) fn ttl_s(lives_ms: u64) -> i32 {
    let seconds = lives_ms.div_ceil(1000).saturating_add(TTL_SLACK_S);
    if seconds > TTL_S_MAX { 0 } else { seconds as i32 }
}

/// The value of a cell, unless it has expired; a cell that is too short to be one counts as gone.
pub(crate) fn unpack(packed: &Bytes, now_ms: u64) -> Option<Bytes> {
    let expires_ms = u64::from_be_bytes(*packed.first_chunk::<EXPIRY_BYTES>()?);
    (expires_ms == 0 || expires_ms > now_ms).then(|| packed.slice(EXPIRY_BYTES..))
}

/// The `scope` column: 0, or 1 and the app. Never empty.
pub(crate) fn scope_column(scope: Scope) -> Bytes {
    match scope {
        Scope::Region => Bytes::from_static(&[0]),
        Scope::App(app) => {
            let mut bytes = BytesMut::with_capacity(17);
            bytes.put_u8(1);
            bytes.put_slice(&app.0);
            bytes.freeze()
        }
    }
}

/// Refuses a key outside its bounds.
pub(crate) fn check_key(key: &RowKey) -> Result<()> {
    check_partition(&key.partition)?;
    check_clustering(&key.clustering)
}

/// Refuses a partition key outside its bounds.
pub(crate) fn check_partition(partition: &[u8]) -> Result<()> {
    if partition.is_empty() || partition.len() > KEY_BYTES_MAX {
        return Err(ErrorKind::InvalidArgument.with("a partition key has 1-1024 bytes"));
    }
    Ok(())
}

/// Refuses a clustering key over its limit.
pub(crate) fn check_clustering(clustering: &[u8]) -> Result<()> {
    if clustering.len() > KEY_BYTES_MAX {
        return Err(ErrorKind::InvalidArgument.with("a clustering key has at most 1024 bytes"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_store::{Table, tables};

    fn cell(table: &'static Table, expires_in_ms: Option<u64>) -> Cell {
        let key = RowKey {
            table,
            scope: Scope::Region,
            partition: Bytes::from_static(b"p"),
            clustering: Bytes::new(),
        };
        Cell::of(&Put { key, value: Bytes::from_static(b"v"), expires_in_ms }, 1_000_000)
    }

    #[test]
    fn a_cell_opens_until_its_time_has_come() {
        let cell = cell(&tables::USERS, Some(500));
        assert_eq!(unpack(&cell.packed, 1_000_499), Some(Bytes::from_static(b"v")));
        assert_eq!(unpack(&cell.packed, 1_000_500), None);
        assert_eq!(unpack(&Bytes::from_static(b"short"), 0), None);
    }

    #[test]
    fn the_database_never_forgets_a_row_early() {
        assert_eq!(cell(&tables::USERS, None).ttl_s, 0);
        assert_eq!(cell(&tables::USERS, Some(0)).ttl_s, 60);
        assert_eq!(cell(&tables::USERS, Some(1001)).ttl_s, 62);
        assert_eq!(ttl_s(TTL_S_MAX * 1000), 0, "an end that it cannot express is left to the clock");
        assert_eq!(ttl_s(u64::MAX), 0);
    }

    #[test]
    fn a_table_with_a_fixed_retention_gives_its_rows_an_end() {
        let ms = tables::DEDUP.retention.own_life_ms().unwrap();
        assert_eq!(cell(&tables::DEDUP, None).expires_ms, 1_000_000 + ms);
        assert_eq!(cell(&tables::MESSAGES, None).expires_ms, 0);
    }
}
