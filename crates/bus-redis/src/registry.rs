use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use bulkhead_bus::{Entry, FIELDS_PER_KEY_MAX, Registry, RegistryPut, Topic, check_puts, check_size};
use bulkhead_model::{ErrorKind, Result};
use bytes::Bytes;
use futures_util::future::try_join_all;
use redis::{Pipeline, Value};

use crate::connect::{Failed, query};
use crate::core::Core;
use crate::names::registry_key_of;
use crate::shard::{Commands, Shard};

/// Most keys of one pipeline; bounds what one answer can hold.
const PIPELINE_KEYS_MAX: usize = 50;

/// The registry on the shards of a bus.
pub struct RedisRegistry {
    core: Arc<Core>,
}

impl RedisRegistry {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Does `add` for every item, in pipelines of the shards that have their keys, and answers in the order of the
    /// items.
    async fn on_shards<T>(
        &self,
        items: Vec<(Topic, T)>,
        add: impl Fn(&mut Pipeline, &Commands, &[u8], &T) + Copy,
    ) -> Result<Vec<Value>> {
        let places = self.core.places();
        let mut of_shard: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (index, (key, _)) in items.iter().enumerate() {
            of_shard.entry(places.of_slot[usize::from(key.slot())]).or_default().push(index);
        }
        let items = &items;
        let works = of_shard.iter().map(|(shard, indexes)| {
            let shard = &places.shards[*shard];
            async move {
                let mut answers = Vec::with_capacity(indexes.len());
                for indexes in indexes.chunks(PIPELINE_KEYS_MAX) {
                    let build = |commands: &Commands| {
                        let mut pipe = Pipeline::with_capacity(indexes.len());
                        for index in indexes {
                            let (key, item) = &items[*index];
                            add(&mut pipe, commands, &registry_key_of(key), item);
                        }
                        pipe
                    };
                    let values = self.on_shard(shard, indexes.len(), build).await?;
                    answers.extend(indexes.iter().copied().zip(values));
                }
                Ok::<_, bulkhead_model::Error>(answers)
            }
        });
        let mut answers: Vec<(usize, Value)> = try_join_all(works).await?.into_iter().flatten().collect();
        answers.sort_by_key(|(index, _)| *index);
        Ok(answers.into_iter().map(|(_, value)| value).collect())
    }

    async fn on_shard(
        &self,
        shard: &Shard,
        count: usize,
        build: impl Fn(&Commands) -> Pipeline,
    ) -> Result<Vec<Value>> {
        let away = || ErrorKind::Unavailable.with(format!("the Redis shard {} is away", shard.address));
        let mut commands = shard.commands.read().clone().ok_or_else(away)?;
        let pipe = build(&commands);
        let mut answer = query(&mut commands.connection, &pipe, count).await;
        if matches!(&answer, Err(Failed::Refused(code)) if code == "NOSCRIPT") {
            commands.load_again().await.map_err(|failed| failed.of(&shard.address))?;
            answer = query(&mut commands.connection, &pipe, count).await;
        }
        answer.map_err(|failed| {
            if matches!(&failed, Failed::Refused(_)) {
                self.core.moved.notify_one();
            }
            failed.of(&shard.address)
        })
    }
}

#[async_trait]
impl Registry for RedisRegistry {
    async fn put(&self, puts: Vec<RegistryPut>, ttl_ms: u64) -> Result<()> {
        check_puts(&puts, ttl_ms, self.value_bytes_max())?;
        let mut of_key: HashMap<Topic, Vec<(Bytes, Bytes)>> = HashMap::new();
        for put in puts {
            of_key.entry(put.key).or_default().push((put.field, put.value));
        }
        let answers = self
            .on_shards(of_key.into_iter().collect(), |pipe, commands, key, fields| {
                let put = pipe.cmd("EVALSHA").arg(&commands.put).arg(1).arg(key);
                put.arg(ttl_ms).arg(FIELDS_PER_KEY_MAX);
                for (field, value) in fields {
                    pipe.arg(&field[..]).arg(&value[..]);
                }
            })
            .await?;
        if answers.iter().any(|answer| *answer == Value::Int(0)) {
            return Err(ErrorKind::RateLimited.with("too many fields of one key of the registry"));
        }
        Ok(())
    }

    async fn remove(&self, fields: Vec<(Topic, Bytes)>) -> Result<()> {
        check_size(fields.len())?;
        self.on_shards(fields, |pipe, _, key, field| {
            pipe.cmd("HDEL").arg(key).arg(&field[..]);
        })
        .await?;
        Ok(())
    }

    async fn list(&self, keys: Vec<Topic>) -> Result<Vec<Vec<Entry>>> {
        check_size(keys.len())?;
        let keys = keys.into_iter().map(|key| (key, ())).collect();
        let answers = self
            .on_shards(keys, |pipe, commands, key, ()| {
                pipe.cmd("EVALSHA").arg(&commands.list).arg(1).arg(key);
            })
            .await?;
        Ok(answers.into_iter().map(entries_of).collect())
    }

    fn shard_of(&self, slot: u16) -> usize {
        self.core.places().of_slot.get(usize::from(slot)).copied().unwrap_or_default()
    }
}

/// Fields and values by turns, in the order of the fields.
fn entries_of(answer: Value) -> Vec<Entry> {
    let Value::Array(parts) = answer else { return Vec::new() };
    let mut parts = parts.into_iter().filter_map(|part| match part {
        Value::BulkString(bytes) => Some(Bytes::from(bytes)),
        _ => None,
    });
    let mut entries = Vec::new();
    while let (Some(field), Some(value)) = (parts.next(), parts.next()) {
        entries.push(Entry { field, value });
    }
    entries.sort_by(|one, other| one.field.cmp(&other.field));
    entries
}
