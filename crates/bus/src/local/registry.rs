use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use bulkhead_model::{Clock, ErrorKind, Result};
use bytes::Bytes;
use parking_lot::Mutex;

use crate::{Entry, FIELDS_PER_KEY_MAX, Registry, RegistryPut, Topic, check_puts, check_size};

/// Puts between two looks for entries that expired unseen.
const SWEEP_EVERY_PUTS: u64 = 10_000;

/// The registry within one process.
pub struct LocalRegistry {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    keys: HashMap<Topic, BTreeMap<Bytes, Held>>,
    puts: u64,
}

struct Held {
    value: Bytes,
    /// Unix milliseconds from which on the entry is no longer there.
    ends_ms: u64,
}

impl LocalRegistry {
    /// An empty registry whose entries age by `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { clock, state: Mutex::default() })
    }
}

#[async_trait]
impl Registry for LocalRegistry {
    async fn put(&self, puts: Vec<RegistryPut>, ttl_ms: u64) -> Result<()> {
        check_puts(&puts, ttl_ms, self.value_bytes_max())?;
        let now_ms = self.clock.now_ms();
        let mut state = self.state.lock();
        for put in puts {
            state.puts += 1;
            if state.puts.is_multiple_of(SWEEP_EVERY_PUTS) {
                state.sweep(now_ms);
            }
            let fields = state.keys.entry(put.key).or_default();
            fields.retain(|_, held| held.ends_ms > now_ms);
            if fields.len() >= FIELDS_PER_KEY_MAX && !fields.contains_key(&put.field) {
                return Err(ErrorKind::RateLimited.with("too many fields of one key of the registry"));
            }
            fields.insert(put.field, Held { value: put.value, ends_ms: now_ms.saturating_add(ttl_ms) });
        }
        Ok(())
    }

    async fn remove(&self, fields: Vec<(Topic, Bytes)>) -> Result<()> {
        check_size(fields.len())?;
        let mut state = self.state.lock();
        for (key, field) in fields {
            if let Some(held) = state.keys.get_mut(&key) {
                held.remove(&field);
                if held.is_empty() {
                    state.keys.remove(&key);
                }
            }
        }
        Ok(())
    }

    async fn list(&self, keys: Vec<Topic>) -> Result<Vec<Vec<Entry>>> {
        check_size(keys.len())?;
        let now_ms = self.clock.now_ms();
        let state = self.state.lock();
        let living = |key: &Topic| -> Vec<Entry> {
            let fields = state.keys.get(key).into_iter().flatten();
            fields
                .filter(|(_, held)| held.ends_ms > now_ms)
                .map(|(field, held)| Entry { field: field.clone(), value: held.value.clone() })
                .collect()
        };
        Ok(keys.iter().map(living).collect())
    }
}

impl State {
    fn sweep(&mut self, now_ms: u64) {
        self.keys.retain(|_, fields| {
            fields.retain(|_, held| held.ends_ms > now_ms);
            !fields.is_empty()
        });
    }
}
