use std::sync::Arc;

use async_trait::async_trait;
use bulkhead_model::Result;
use bytes::Bytes;

use super::sealer::{SEALED_EXTRA_BYTES, Sealer, Use};
use crate::{Entry, FIELD_BYTES_MAX, Registry, RegistryPut, Topic, check_puts};

/// Bytes that tell a field's length in a sealed entry.
const FIELD_LENGTH_BYTES: usize = 2;

/// A registry that seals entries and hides the names of keys and fields in another registry.
///
/// An entry opens in the hour of its last renewal and the next one, so it must be renewed within an hour. One that does
/// not open is left out and counted.
pub struct SealedRegistry {
    sealer: Arc<Sealer>,
    inner: Arc<dyn Registry>,
}

impl SealedRegistry {
    /// Wraps `inner`.
    pub fn new(sealer: Arc<Sealer>, inner: Arc<dyn Registry>) -> Arc<Self> {
        Arc::new(Self { sealer, inner })
    }
}

#[async_trait]
impl Registry for SealedRegistry {
    async fn put(&self, puts: Vec<RegistryPut>, ttl_ms: u64) -> Result<()> {
        check_puts(&puts, ttl_ms, self.value_bytes_max())?;
        let key = self.sealer.sealing_key().await?;
        let nonces = self.sealer.nonces(puts.len());
        let sealed = puts
            .iter()
            .zip(nonces)
            .map(|(put, nonce)| RegistryPut {
                key: self.sealer.hide(&put.key),
                field: self.sealer.hide_field(&put.key, &put.field),
                value: self.sealer.seal(
                    &key,
                    nonce,
                    &put.key,
                    Use::RegistryEntry,
                    &joined(&put.field, &put.value),
                ),
            })
            .collect();
        self.inner.put(sealed, ttl_ms).await
    }

    async fn remove(&self, fields: Vec<(Topic, Bytes)>) -> Result<()> {
        let hidden = fields
            .iter()
            .map(|(key, field)| (self.sealer.hide(key), self.sealer.hide_field(key, field)))
            .collect();
        self.inner.remove(hidden).await
    }

    async fn list(&self, keys: Vec<Topic>) -> Result<Vec<Vec<Entry>>> {
        let hidden = keys.iter().map(|key| self.sealer.hide(key)).collect();
        let found = self.inner.list(hidden).await?;
        Ok(keys.iter().zip(found).map(|(key, entries)| self.opened(key, entries)).collect())
    }

    fn shard_of(&self, slot: u16) -> usize {
        self.inner.shard_of(slot)
    }

    fn value_bytes_max(&self) -> usize {
        self.inner.value_bytes_max() - SEALED_EXTRA_BYTES - FIELD_LENGTH_BYTES - FIELD_BYTES_MAX
    }
}

impl SealedRegistry {
    fn opened(&self, key: &Topic, entries: Vec<Entry>) -> Vec<Entry> {
        let open = |entry: Entry| {
            let opened =
                self.sealer.open(key, Use::RegistryEntry, &entry.value).ok().and_then(|value| split(&value));
            if opened.is_none() {
                metrics::counter!("bulkhead_bus_entries_unopened_total").increment(1);
            }
            opened
        };
        let mut entries: Vec<Entry> = entries.into_iter().filter_map(open).collect();
        entries.sort_by(|one, other| one.field.cmp(&other.field));
        entries
    }
}

/// Two bytes of the field's length, the field, the value.
fn joined(field: &[u8], value: &[u8]) -> Vec<u8> {
    let length = (field.len() as u16).to_be_bytes();
    [&length, field, value].concat()
}

fn split(joined: &Bytes) -> Option<Entry> {
    let (length, _) = joined.split_first_chunk::<FIELD_LENGTH_BYTES>()?;
    let end = FIELD_LENGTH_BYTES + usize::from(u16::from_be_bytes(*length));
    (joined.len() >= end)
        .then(|| Entry { field: joined.slice(FIELD_LENGTH_BYTES..end), value: joined.slice(end..) })
}
