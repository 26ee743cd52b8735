//! How a row stands in the tree.
//!
//! Key: scope (0, or 1 and 16 bytes) ‖ length of the partition (u16) ‖ partition ‖ clustering. The length keeps one
//! partition from being a prefix of another, so the rows of a partition are exactly those behind its prefix, in the order of
//! their clustering bytes. Value: 8 bytes of expiry (Unix milliseconds, 0 for never) ‖ value.

use bulkhead_model::{ErrorKind, Result};
use bulkhead_store::{RowKey, Scope};
use bytes::Bytes;

/// Most bytes of a partition or clustering key.
const KEY_BYTES_MAX: usize = 1024;

/// Bytes of expiry in front of each value.
const EXPIRY_BYTES: usize = 8;

/// The key of a row, its bounds checked.
pub(crate) fn key_of(key: &RowKey) -> Result<Vec<u8>> {
    let mut bytes = prefix_of(key.scope, &key.partition)?;
    check_clustering(&key.clustering)?;
    bytes.extend_from_slice(&key.clustering);
    Ok(bytes)
}

/// What every key of a partition starts with.
pub(crate) fn prefix_of(scope: Scope, partition: &[u8]) -> Result<Vec<u8>> {
    if partition.is_empty() || partition.len() > KEY_BYTES_MAX {
        return Err(ErrorKind::InvalidArgument.with("a partition key has 1-1024 bytes"));
    }
    let mut bytes = Vec::with_capacity(19 + partition.len() + 32);
    match scope {
        Scope::Region => bytes.push(0),
        Scope::App(app) => {
            bytes.push(1);
            bytes.extend_from_slice(&app.0);
        }
    }
    bytes.extend_from_slice(&(partition.len() as u16).to_be_bytes());
    bytes.extend_from_slice(partition);
    Ok(bytes)
}

/// Refuses a clustering key over its limit.
pub(crate) fn check_clustering(clustering: &[u8]) -> Result<()> {
    if clustering.len() > KEY_BYTES_MAX {
        return Err(ErrorKind::InvalidArgument.with("a clustering key has at most 1024 bytes"));
    }
    Ok(())
}

/// The stored form of a value.
pub(crate) fn pack(expires_ms: u64, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(EXPIRY_BYTES + value.len());
    bytes.extend_from_slice(&expires_ms.to_be_bytes());
    bytes.extend_from_slice(value);
    bytes
}

/// The value of a stored form, unless it has expired.
pub(crate) fn unpack(stored: &Bytes, now_ms: u64) -> Option<Bytes> {
    (!has_expired(stored, now_ms)).then(|| stored.slice(EXPIRY_BYTES..))
}

/// When a stored form expires, Unix milliseconds; 0 for never, `None` for one that is too short to be one.
pub(crate) fn expires_ms(stored: &[u8]) -> Option<u64> {
    stored.first_chunk::<EXPIRY_BYTES>().map(|expiry| u64::from_be_bytes(*expiry))
}

/// Whether a stored form has expired; one that is too short to be one counts as gone.
pub(crate) fn has_expired(stored: &[u8], now_ms: u64) -> bool {
    expires_ms(stored).is_none_or(|expires_ms| expires_ms != 0 && expires_ms <= now_ms)
}
