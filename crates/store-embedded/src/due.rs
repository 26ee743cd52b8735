//! When rows expire: a tree beside those of the tables, in the order of time, so that a sweep looks at nothing that lives.
//!
//! Key: the instant (8 bytes of Unix milliseconds) ‖ place of the table ‖ key of the row; no value. A row that is written
//! anew gets an entry more, and the old one is dropped when its time comes. For rows that live long, and are written anew
//! all the time, instants are rounded up to half days, so that they have an entry or two a day.

use bulkhead_model::Result;
use bytes::BufMut;
use fjall::Readable;

use crate::row;
use crate::trees::{Change, TableIndex, Trees, engine_error};

/// Rows that live longer than this have rounded entries, in milliseconds.
const EXACT_MS: u64 = 7 * 24 * 60 * 60 * 1000;

/// What entries are rounded up to, in milliseconds.
const ROUNDED_TO_MS: u64 = 12 * 60 * 60 * 1000;

/// The entry that a stored row needs; `None` for one that does not expire.
pub(crate) fn entry_of(table: TableIndex, key: &[u8], stored: &[u8], now_ms: u64) -> Option<Vec<u8>> {
    let expires_ms = row::expires_ms(stored).filter(|expires_ms| *expires_ms != 0)?;
    let due_ms = match expires_ms.saturating_sub(now_ms) {
        ..=EXACT_MS => expires_ms,
        _ => expires_ms.checked_next_multiple_of(ROUNDED_TO_MS).unwrap_or(u64::MAX),
    };
    let mut entry = Vec::with_capacity(9 + key.len());
    entry.put_u64(due_ms);
    entry.put_u8(u8::try_from(table).unwrap_or(u8::MAX));
    entry.extend_from_slice(key);
    Some(entry)
}

/// Which row an entry is about.
pub(crate) fn row_of(entry: &[u8]) -> Option<(TableIndex, &[u8])> {
    let (&table, key) = entry.get(8..)?.split_first()?;
    Some((table.into(), key))
}

/// The first entries whose time has come.
pub(crate) fn entries(trees: &Trees, now_ms: u64, limit: usize) -> Result<Vec<Vec<u8>>> {
    let to = now_ms.saturating_add(1).to_be_bytes();
    let due = trees.snapshot().range(trees.due(), ..&to[..]);
    let entries = due.take(limit).map(|guard| Ok(guard.key()?.to_vec()));
    entries.collect::<fjall::Result<_>>().map_err(engine_error)
}

/// What the rows of a folder of an earlier version, which has no entries, need; a part at a time.
pub(crate) fn missing(
    trees: &Trees,
    now_ms: u64,
    mut commit: impl FnMut(Vec<Change>) -> Result<()>,
) -> Result<()> {
    const TOGETHER: usize = 10_000;
    let mut entries = Vec::new();
    for (table, tree) in trees.tables() {
        for guard in trees.snapshot().iter(tree) {
            let (key, stored) = guard.into_inner().map_err(engine_error)?;
            entries.extend(
                entry_of(table, &key, &stored, now_ms)
                    .map(|entry| ((trees.due_index(), entry), Some(Vec::new()))),
            );
            if entries.len() == TOGETHER {
                commit(std::mem::take(&mut entries))?;
            }
        }
    }
    commit(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_due_when_its_row_expires_or_half_a_day_later() {
        let now_ms = 1_800_000_000_000;
        for lives_ms in [1, 1000, EXACT_MS, EXACT_MS + 1, 180 * 24 * 60 * 60 * 1000] {
            let expires_ms = now_ms + lives_ms;
            let entry = entry_of(7, b"key", &row::pack(expires_ms, b""), now_ms).unwrap();
            let due_ms = u64::from_be_bytes(entry[..8].try_into().unwrap());
            assert!((expires_ms..expires_ms + ROUNDED_TO_MS).contains(&due_ms), "{lives_ms}");
            assert!(lives_ms > EXACT_MS || due_ms == expires_ms);
            assert_eq!(row_of(&entry), Some((7, &b"key"[..])));
        }
        assert_eq!(entry_of(7, b"key", &row::pack(0, b"v"), now_ms), None);
    }
}
