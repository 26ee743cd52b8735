//! The days that a channel's log is divided into, so that no partition of the database grows without end.
//!
//! The clustering key of `messages` is a message id, whose upper bits are milliseconds since 2020: the day follows from
//! the key, and the order of days is the order of keys. Which days of a channel have rows stands in an index beside the
//! table (`messages_buckets`), so that a walk visits no empty day.

use bulkhead_model::{MESSAGE_EPOCH_MS, MessageId};
use bulkhead_store::{Table, tables};

pub(crate) const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Ends of index entries are rounded up to whole weeks, so that a day has one entry or two, not one for each message.
const WEEK_MS: u64 = 7 * DAY_MS;

/// How long after its end a day may still get rows: more than any difference between the clocks of a region.
const SETTLING_MS: u64 = 60 * 60 * 1000;

/// The `ends` column of an entry that stays.
pub(crate) const NEVER_ENDS: i32 = i32::MAX;

/// Whether the partitions of a table are divided. The clustering keys of the others do not rise with time.
pub(crate) fn is_bucketed(table: &Table) -> bool {
    *table == tables::MESSAGES
}

/// The day of a clustering key; one of fewer than eight bytes is read as if zeros followed.
pub(crate) fn bucket_of(clustering: &[u8]) -> i32 {
    let mut id = [0; 8];
    let known = clustering.len().min(8);
    id[..known].copy_from_slice(&clustering[..known]);
    ((MessageId(u64::from_be_bytes(id)).unix_ms() - MESSAGE_EPOCH_MS) / DAY_MS) as i32
}

/// The days that `from <= clustering < to` can be in; an empty `to` is no bound.
pub(crate) fn bucket_range(from: &[u8], to: &[u8]) -> (i32, i32) {
    (bucket_of(from), if to.is_empty() { i32::MAX } else { bucket_of(to) })
}

/// Whether a day gets no more rows.
pub(crate) fn is_settled(bucket: i32, now_ms: u64) -> bool {
    let end_ms = MESSAGE_EPOCH_MS + (bucket as u64 + 1) * DAY_MS;
    end_ms + SETTLING_MS <= now_ms
}

/// The `ends` column for a row that expires then (Unix milliseconds, 0 for never): a week that ends no earlier.
pub(crate) fn ends_of(expires_ms: u64) -> i32 {
    if expires_ms == 0 { NEVER_ENDS } else { i32::try_from(expires_ms / WEEK_MS + 1).unwrap_or(NEVER_ENDS) }
}

/// Milliseconds from now until the end of an entry; `None` for one that stays.
pub(crate) fn ends_in_ms(ends: i32, now_ms: u64) -> Option<u64> {
    (ends != NEVER_ENDS).then(|| (ends as u64 * WEEK_MS).saturating_sub(now_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_at(unix_ms: u64) -> [u8; 8] {
        MessageId::new(unix_ms, 7, 1).0.to_be_bytes()
    }

    #[test]
    fn the_order_of_days_is_the_order_of_keys() {
        let midnight = MESSAGE_EPOCH_MS + 400 * DAY_MS;
        assert_eq!(bucket_of(&id_at(midnight - 1)), 399);
        assert_eq!(bucket_of(&id_at(midnight)), 400);
        assert_eq!(bucket_of(&[]), 0);
        assert!(bucket_of(&[0xFF; 9]) < i32::MAX);
        assert!(bucket_of(&[0x40]) <= bucket_of(&[0x40, 0, 0, 1]));
        assert_eq!(bucket_range(&id_at(midnight), &[]), (400, i32::MAX));
    }

    #[test]
    fn a_day_is_settled_an_hour_after_its_end() {
        let end_ms = MESSAGE_EPOCH_MS + 401 * DAY_MS;
        assert!(!is_settled(400, end_ms + SETTLING_MS - 1));
        assert!(is_settled(400, end_ms + SETTLING_MS));
    }

    #[test]
    fn an_index_entry_ends_no_earlier_than_its_rows() {
        for expires_ms in [1, WEEK_MS - 1, WEEK_MS, 1_800_000_000_000] {
            let ends = ends_of(expires_ms);
            assert!(ends_in_ms(ends, 0).is_some_and(|end_ms| end_ms >= expires_ms));
        }
        assert_eq!(ends_of(0), NEVER_ENDS);
        assert_eq!(ends_in_ms(NEVER_ENDS, 5), None);
    }
}
