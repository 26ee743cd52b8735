//! The port around the port.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use async_trait::async_trait;
use bulkhead_model::{AppUuid, Clock, Entropy, ErrorKind, MessageId, Region, Result};
use bulkhead_seal::{DataKey, NONCE_BYTES, RegionKey, RowIdentity, key_version_of, open, seal};
use bulkhead_store::{
    Engine, Insert, Mutation, Put, Retention, Row, RowKey, Scan, Scope, Store, Table, tables,
};
use bytes::Bytes;

use crate::keyring::Keyring;
use crate::retained::{Bucket, Kind, Notes, Retained};
use crate::retention::Retentions;

/// Attempts at a compare-and-set whose row changes under it, before it answers `Conflict`.
const COMPARE_ATTEMPTS_MAX: usize = 16;

/// Seals values on their way to an engine and opens them on their way back, those that are not over.
pub struct StorageService {
    engine: Arc<dyn Engine>,
    region: Region,
    keyring: Keyring,
    retentions: Retentions,
    retained: Retained,
}

impl StorageService {
    /// Starts on an engine. `InvalidArgument` when the region key is not the one the engine's data was stored with.
    pub async fn start(
        engine: Arc<dyn Engine>,
        region: Region,
        region_key: RegionKey,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Arc<Self>> {
        let keyring = Keyring::open(engine.clone(), region, region_key, entropy).await?;
        let retentions = Retentions::new(clock);
        Ok(Arc::new(Self { engine, region, keyring, retentions, retained: Retained::new() }))
    }

    /// Makes a new data key for a scope; values sealed before go on opening.
    pub async fn rotate(&self, scope: Scope) -> Result<()> {
        self.keyring.rotate(scope).await
    }

    pub(crate) fn region(&self) -> Region {
        self.region
    }

    pub(crate) fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// The engine, for what the port does not have.
    pub(crate) fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    /// Milliseconds that the plan in force keeps an app's messages.
    pub(crate) async fn plan_ms(&self, app: AppUuid) -> Result<u64> {
        self.retentions.plan_ms(Scope::App(app), self).await
    }

    /// Has the sweep know of something that ends with its app's plan, before it is written.
    pub(crate) async fn note_retained(&self, bucket: Bucket, whose: Bytes) -> Result<()> {
        let mut notes = Notes::default();
        self.retained.note(bucket, &whose, self.retentions.now_ms(), &mut notes);
        let rows = notes.take_rows();
        if !rows.is_empty() {
            self.write(rows).await?;
            self.retained.written(notes);
        }
        Ok(())
    }

    /// Opens a value that was read from the engine directly.
    pub(crate) async fn open_row(&self, key: &RowKey, sealed: &[u8]) -> Result<Bytes> {
        let place = self.place(key.scope_bytes(), key.table, &key.partition, &key.clustering);
        self.opened(key.scope, &place, sealed, &mut None).await
    }

    /// The sealed form of one row, and how long it lives.
    async fn sealed_put(&self, put: Put) -> Result<Put> {
        let key = self.keyring.sealing(put.key.scope, 1).await?;
        let expires_in_ms = match put.expires_in_ms {
            Some(ms) => Some(ms),
            None => self.retentions.life_ms(&put.key, self).await?,
        };
        let value = self.sealed(&put.key, &put.value, &key, self.keyring.nonce());
        Ok(Put { key: put.key, value, expires_in_ms })
    }

    fn sealed(&self, row: &RowKey, value: &[u8], key: &DataKey, nonce: [u8; NONCE_BYTES]) -> Bytes {
        let place = self.place(row.scope_bytes(), row.table, &row.partition, &row.clustering);
        seal(key, &place, nonce, value).into()
    }

    /// Opens with `cached` when it is the right version, so that a page asks for its key once.
    async fn opened(
        &self,
        scope: Scope,
        place: &RowIdentity<'_>,
        sealed: &[u8],
        cached: &mut Option<Arc<DataKey>>,
    ) -> Result<Bytes> {
        let damaged = |_| ErrorKind::Internal.with("a stored value does not open");
        let version = key_version_of(sealed).map_err(damaged)?;
        let key = match cached {
            Some(key) if key.version() == version => key,
            _ => cached.insert(self.keyring.opening(scope, version).await?),
        };
        Ok(open(key, place, sealed).map_err(damaged)?.into())
    }

    /// Forgets what was known of a table's rows.
    fn written(&self, table: &Table) {
        if *table == tables::APPS {
            self.retentions.forget_all();
        }
    }

    fn place<'a>(
        &self,
        scope: &'a [u8],
        table: &'a Table,
        partition: &'a [u8],
        clustering: &'a [u8],
    ) -> RowIdentity<'a> {
        RowIdentity { region: self.region.name(), scope, table: table.name, partition, clustering }
    }
}

impl StorageService {
    async fn write_until(&self, mut mutations: Vec<Mutation>, deadline_ms: Option<u64>) -> Result<()> {
        let notes = self.note_messages(&mut mutations);
        // A batch of the message path has many rows of few scopes: each scope's key is asked for once.
        let mut scopes: HashMap<Scope, u64> = HashMap::new();
        let mut apps_change = false;
        for mutation in &mutations {
            refuse_keys(table_of(mutation))?;
            apps_change |= *table_of(mutation) == tables::APPS;
            if let Mutation::Put(put) = mutation {
                *scopes.entry(put.key.scope).or_default() += 1;
            }
        }
        let mut nonces = self.keyring.nonces(scopes.values().sum::<u64>() as usize);
        let mut ready = HashMap::with_capacity(scopes.len());
        for (scope, uses) in scopes {
            ready.insert(scope, self.keyring.sealing(scope, uses).await?);
        }
        for mutation in &mut mutations {
            let Mutation::Put(put) = mutation else { continue };
            let key = &ready[&put.key.scope];
            let nonce = nonces.next().expect("every put was counted");
            put.value = self.sealed(&put.key, &put.value, key, nonce);
            if put.expires_in_ms.is_none() {
                put.expires_in_ms = self.retentions.life_ms(&put.key, self).await?;
            }
        }
        // The engine looks at the deadline itself, when it comes to this write.
        match deadline_ms {
            None => self.engine.write(mutations).await?,
            Some(deadline_ms) => self.engine.write_before(mutations, deadline_ms).await?,
        }
        if apps_change {
            self.written(&tables::APPS);
        }
        self.retained.written(notes);
        Ok(())
    }

    /// Puts in front of messages what tells the sweep of them.
    fn note_messages(&self, mutations: &mut Vec<Mutation>) -> Notes {
        let (mut notes, now_ms) = (Notes::default(), self.retentions.now_ms());
        for mutation in mutations.iter() {
            if let Mutation::Put(Put { key: RowKey { table, scope, partition, clustering }, .. }) = mutation
                && **table == tables::MESSAGES
                && let (Scope::App(app), Some(id)) = (scope, clustering.first_chunk())
            {
                let sent_ms = MessageId(u64::from_be_bytes(*id)).unix_ms();
                let bucket = Bucket::of(*app, Kind::Messages, sent_ms, partition);
                self.retained.note(bucket, partition, now_ms, &mut notes);
            }
        }
        let mut front = notes.take_rows();
        if !front.is_empty() {
            front.append(mutations);
            *mutations = front;
        }
        notes
    }

    /// Refuses tables whose rows have to be noted, and need no condition.
    fn refuse_conditions(table: &Table) -> Result<()> {
        if table.retention == Retention::Plan {
            return Err(ErrorKind::InvalidArgument.with("rows of this table end with a plan: write them"));
        }
        Ok(())
    }

    /// The keys whose rows may be served, with their places among all.
    async fn unexpired(&self, keys: &[RowKey]) -> Result<Vec<usize>> {
        let mut floors: HashMap<Scope, Option<Bytes>> = HashMap::new();
        let mut served = Vec::with_capacity(keys.len());
        for (at, key) in keys.iter().enumerate() {
            if *key.table == tables::MESSAGES {
                let floor = match floors.entry(key.scope) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(free) => {
                        free.insert(self.retentions.floor(key.table, key.scope, self).await?)
                    }
                };
                if floor.as_ref().is_some_and(|floor| key.clustering < *floor) {
                    continue;
                }
            }
            served.push(at);
        }
        Ok(served)
    }
}

#[async_trait]
impl Store for StorageService {
    async fn write(&self, mutations: Vec<Mutation>) -> Result<()> {
        self.write_until(mutations, None).await
    }

    async fn write_before(&self, mutations: Vec<Mutation>, deadline_ms: u64) -> Result<()> {
        self.write_until(mutations, Some(deadline_ms)).await
    }

    async fn insert_if_absent(&self, row: Insert) -> Result<Option<Bytes>> {
        refuse_keys(row.key.table)?;
        Self::refuse_conditions(row.key.table)?;
        let key = row.key.clone();
        match self.engine.insert_if_absent(self.sealed_put(row).await?).await? {
            None => {
                self.written(key.table);
                Ok(None)
            }
            Some(existing) => {
                let place = self.place(key.scope_bytes(), key.table, &key.partition, &key.clustering);
                self.opened(key.scope, &place, &existing, &mut None).await.map(Some)
            }
        }
    }

    async fn compare_and_set(&self, key: RowKey, expected: Option<Bytes>, value: Bytes) -> Result<bool> {
        refuse_keys(key.table)?;
        Self::refuse_conditions(key.table)?;
        let place = self.place(key.scope_bytes(), key.table, &key.partition, &key.clustering);
        let mut cached = None;
        for _ in 0..COMPARE_ATTEMPTS_MAX {
            let sealed_now = self.engine.get(key.clone()).await?;
            let now = match &sealed_now {
                Some(sealed) => Some(self.opened(key.scope, &place, sealed, &mut cached).await?),
                None => None,
            };
            if now != expected {
                return Ok(false);
            }
            let sealing = self.keyring.sealing(key.scope, 1).await?;
            let sealed_new = self.sealed(&key, &value, &sealing, self.keyring.nonce());
            if self.engine.compare_and_set(key.clone(), sealed_now, sealed_new).await? {
                self.written(key.table);
                return Ok(true);
            }
            // The sealed bytes changed between the read and the set; look again whether the value did too.
        }
        Err(ErrorKind::Conflict.into())
    }

    async fn get_many(&self, keys: Vec<RowKey>) -> Result<Vec<Option<Bytes>>> {
        for key in &keys {
            refuse_keys(key.table)?;
        }
        let served = self.unexpired(&keys).await?;
        let asked = if served.len() == keys.len() {
            keys.clone()
        } else {
            served.iter().map(|at| keys[*at].clone()).collect()
        };
        let sealed = self.engine.get_many(asked).await?;
        let mut values = vec![None; keys.len()];
        let mut cached: Option<(Scope, Option<Arc<DataKey>>)> = None;
        for (at, sealed) in served.into_iter().zip(sealed) {
            let (key, Some(sealed)) = (&keys[at], sealed) else { continue };
            let (_, data_key) = match &mut cached {
                Some(cached) if cached.0 == key.scope => cached,
                other => other.insert((key.scope, None)),
            };
            let place = self.place(key.scope_bytes(), key.table, &key.partition, &key.clustering);
            values[at] = Some(self.opened(key.scope, &place, &sealed, data_key).await?);
        }
        Ok(values)
    }

    async fn scan(&self, mut scan: Scan) -> Result<Vec<Row>> {
        refuse_keys(scan.table)?;
        if let Some(floor) = self.retentions.floor(scan.table, scan.scope, self).await? {
            scan.from = scan.from.max(floor);
        }
        let mut rows = self.engine.scan(scan.clone()).await?;
        let mut data_key = None;
        for row in &mut rows {
            let place = self.place(scan.scope.as_bytes(), scan.table, &scan.partition, &row.clustering);
            row.value = self.opened(scan.scope, &place, &row.value, &mut data_key).await?;
        }
        Ok(rows)
    }
}

fn table_of(mutation: &Mutation) -> &'static Table {
    match mutation {
        Mutation::Put(put) => put.key.table,
        Mutation::Delete(key) => key.table,
        Mutation::DeleteRange { table, .. } => table,
    }
}

/// Data keys are not data: no caller reads or writes them.
fn refuse_keys(table: &Table) -> Result<()> {
    if *table == tables::DATA_KEYS {
        return Err(ErrorKind::InvalidArgument.with("no such table"));
    }
    Ok(())
}
