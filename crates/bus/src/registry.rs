use async_trait::async_trait;
use bulkhead_model::{ErrorKind, Result};
use bytes::Bytes;

use crate::Topic;

/// Longest field name, in bytes; at least one.
pub const FIELD_BYTES_MAX: usize = 256;

/// Largest value that an implementation has to hold, in bytes.
pub const VALUE_BYTES_MAX: usize = 1024;

/// Most fields of one key.
pub const FIELDS_PER_KEY_MAX: usize = 256;

/// Most puts, removes or keys of one call.
pub const REGISTRY_BATCH_MAX: usize = 1000;

/// Longest life of an entry, in milliseconds: a day.
pub const TTL_MS_MAX: u64 = 24 * 60 * 60 * 1000;

/// A field of a key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub field: Bytes,
    pub value: Bytes,
}

/// An entry to be put under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryPut {
    pub key: Topic,
    pub field: Bytes,
    pub value: Bytes,
}

/// Entries that vanish unless somebody renews them: which router holds sessions of a user.
///
/// It is a hint and not a store: a shard that restarts has forgotten its entries until their holders renew them.
/// Errors: `InvalidArgument` over a limit of this module, `Unavailable` or `Timeout` when a shard does not answer; then
/// a part of the call may have been done.
#[async_trait]
pub trait Registry: Send + Sync + 'static {
    /// Sets each field for `ttl_ms` milliseconds (1..=[`TTL_MS_MAX`]) from now, whether it was there or not: the same call
    /// renews an entry. `RateLimited` when a key has [`FIELDS_PER_KEY_MAX`] other fields.
    async fn put(&self, puts: Vec<RegistryPut>, ttl_ms: u64) -> Result<()>;

    /// Removes fields; one that is not there is no error.
    async fn remove(&self, fields: Vec<(Topic, Bytes)>) -> Result<()>;

    /// The living entries of each key, in the order of the keys; entries of a key in the order of their fields.
    async fn list(&self, keys: Vec<Topic>) -> Result<Vec<Vec<Entry>>>;

    /// Names the shard that keeps the keys of a slot. Keys of one shard fail together, so a caller that asks for each shard
    /// by itself loses no answer to a shard that is away.
    fn shard_of(&self, _slot: u16) -> usize {
        0
    }

    /// Largest value of an entry, in bytes.
    fn value_bytes_max(&self) -> usize {
        VALUE_BYTES_MAX
    }
}

/// `InvalidArgument` for a put outside the limits; for implementations.
pub fn check_puts(puts: &[RegistryPut], ttl_ms: u64, value_bytes_max: usize) -> Result<()> {
    check_size(puts.len())?;
    if !(1..=TTL_MS_MAX).contains(&ttl_ms) {
        return Err(ErrorKind::InvalidArgument.with("the life of an entry must be 1 ms to a day"));
    }
    let fits = |put: &RegistryPut| {
        (1..=FIELD_BYTES_MAX).contains(&put.field.len()) && put.value.len() <= value_bytes_max
    };
    if !puts.iter().all(fits) {
        return Err(ErrorKind::InvalidArgument.with("a field or value is too large for the registry"));
    }
    Ok(())
}

/// `InvalidArgument` for a call with more parts than [`REGISTRY_BATCH_MAX`]; for implementations.
pub fn check_size(parts: usize) -> Result<()> {
    if parts > REGISTRY_BATCH_MAX {
        return Err(ErrorKind::InvalidArgument.with("too many entries in one call of the registry"));
    }
    Ok(())
}
