//! Data keys: made when a scope first seals, wrapped by the region key, several versions beside each other.
//!
//! Rows of `data_keys`: a wrapped key for each scope and version; for each of these, under `uses:`, how many uses of it
//! processes have reserved (not a secret); and one row that tells a right region key from a wrong one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bulkhead_model::{Entropy, ErrorKind, Region, Result};
use bulkhead_seal::{DATA_KEY_USES_MAX, DataKey, KEY_BYTES, NONCE_BYTES, RegionKey, RowIdentity};
use bulkhead_store::{Put, Row, RowKey, SCAN_ROWS_MAX, Scan, Scope, Store, tables};
use bytes::Bytes;
use moka::sync::Cache;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

/// Partition of the row that tells a right region key from a wrong one.
const CHECK_PARTITION: &[u8] = b"check";

/// Uses that a process reserves at a time. A process that stops loses what it has not used, so a key lasts 2048 starts.
const RESERVED_USES: u64 = 1 << 20;

/// Partition prefix of the rows that count reserved uses.
const USES_PREFIX: &[u8] = b"uses:";

/// Attempts at a reservation that others disturb, before the caller is told to come again.
const RESERVE_ATTEMPTS_MAX: usize = 16;

/// Scopes whose keys are kept in memory.
const SCOPES_MAX: u64 = 10_000;

/// Data keys of one scope, as they were when they were read.
struct ScopeKeys {
    /// Newest last; never empty.
    keys: Vec<Arc<DataKey>>,
    /// What is left of the uses of the newest key that this process has reserved.
    reserved: AtomicU64,
}

impl ScopeKeys {
    fn newest(&self) -> &Arc<DataKey> {
        self.keys.last().expect("a scope is kept with at least one key")
    }

    fn of_version(&self, version: u32) -> Option<Arc<DataKey>> {
        self.keys.iter().find(|key| key.version() == version).cloned()
    }

    /// Takes uses from the reservation; false when it has not enough.
    fn take(&self, uses: u64) -> bool {
        let left = |reserved: u64| reserved.checked_sub(uses);
        self.reserved.fetch_update(Ordering::AcqRel, Ordering::Acquire, left).is_ok()
    }
}

pub(crate) struct Keyring {
    engine: Arc<dyn Store>,
    region: Region,
    region_key: RegionKey,
    entropy: Arc<dyn Entropy>,
    scopes: Cache<Scope, Arc<ScopeKeys>>,
    /// Held while keys are read, made or reserved, so that callers of a scope do it once.
    changing: Mutex<()>,
}

impl Keyring {
    /// Checks the region key against the engine, or marks the engine with it when the engine is new.
    pub(crate) async fn open(
        engine: Arc<dyn Store>,
        region: Region,
        region_key: RegionKey,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self> {
        let scopes = Cache::new(SCOPES_MAX);
        let keyring = Self { engine, region, region_key, entropy, scopes, changing: Mutex::default() };
        let place = keyring.place(CHECK_PARTITION, &[]);
        let fresh = keyring.region_key.wrap(&[0; KEY_BYTES], &place, keyring.nonce());
        let row = Put { key: key_row(CHECK_PARTITION, &[]), value: fresh.into(), expires_in_ms: None };
        if let Some(existing) = keyring.engine.insert_if_absent(row).await?
            && keyring.region_key.unwrap(&existing, &place).is_err()
        {
            return Err(
                ErrorKind::InvalidArgument.with("the region key is not the one this data was stored with")
            );
        }
        Ok(keyring)
    }

    /// The newest key of a scope, for so many seals. A key that has no uses left is replaced first.
    pub(crate) async fn sealing(&self, scope: Scope, uses: u64) -> Result<Arc<DataKey>> {
        for _ in 0..RESERVE_ATTEMPTS_MAX {
            let keys = self.keys_of(scope).await?;
            if keys.take(uses) {
                return Ok(keys.newest().clone());
            }
            self.reserve(scope, uses).await?;
        }
        Err(ErrorKind::Conflict.into())
    }

    /// The key of a version, for opening.
    pub(crate) async fn opening(&self, scope: Scope, version: u32) -> Result<Arc<DataKey>> {
        if let Some(key) = self.keys_of(scope).await?.of_version(version) {
            return Ok(key);
        }
        // Another storage process may have rotated since this one read the scope's keys.
        let _changing = self.changing.lock().await;
        let found = self.read_again(scope).await?.of_version(version);
        found.ok_or_else(|| ErrorKind::Internal.with("a value names a data key that is not there"))
    }

    /// Makes a new version for a scope; the old ones go on opening.
    pub(crate) async fn rotate(&self, scope: Scope) -> Result<()> {
        let _changing = self.changing.lock().await;
        let newest = self.load(scope).await?.last().map_or(0, |key| key.version());
        self.make(scope, newest + 1).await?;
        self.read_again(scope).await.map(drop)
    }

    /// Reserves uses of the newest key, or replaces it when all are taken.
    async fn reserve(&self, scope: Scope, uses: u64) -> Result<()> {
        let _changing = self.changing.lock().await;
        let keys = self.read_again(scope).await?;
        if keys.reserved.load(Ordering::Acquire) >= uses {
            // Somebody else has done it meanwhile.
            return Ok(());
        }
        let version = keys.newest().version();
        let partition = [USES_PREFIX, &partition_of(scope)].concat();
        let row = key_row(&partition, &version.to_be_bytes());
        let before = self.engine.get(row.clone()).await?;
        let taken = match &before {
            Some(bytes) => <[u8; 8]>::try_from(&**bytes).map_or(DATA_KEY_USES_MAX, u64::from_be_bytes),
            None => 0,
        };
        if taken + RESERVED_USES > DATA_KEY_USES_MAX {
            self.make(scope, version + 1).await?;
            return self.read_again(scope).await.map(drop);
        }
        let after = Bytes::copy_from_slice(&(taken + RESERVED_USES).to_be_bytes());
        if self.engine.compare_and_set(row, before, after).await? {
            keys.reserved.fetch_add(RESERVED_USES, Ordering::AcqRel);
        }
        Ok(())
    }

    /// Random bytes for one seal.
    pub(crate) fn nonce(&self) -> [u8; NONCE_BYTES] {
        let mut nonce = [0; NONCE_BYTES];
        self.entropy.fill(&mut nonce);
        nonce
    }

    /// Random bytes for many seals, drawn at once.
    pub(crate) fn nonces(&self, count: usize) -> impl Iterator<Item = [u8; NONCE_BYTES]> + use<> {
        let mut nonces = vec![[0; NONCE_BYTES]; count];
        self.entropy.fill(nonces.as_flattened_mut());
        nonces.into_iter()
    }

    async fn keys_of(&self, scope: Scope) -> Result<Arc<ScopeKeys>> {
        if let Some(keys) = self.scopes.get(&scope) {
            return Ok(keys);
        }
        let _changing = self.changing.lock().await;
        match self.scopes.get(&scope) {
            Some(keys) => Ok(keys),
            None => self.read_again(scope).await,
        }
    }

    /// Reads the keys of a scope, makes the first one when there is none, and remembers them. What was reserved of the
    /// newest key stays reserved.
    async fn read_again(&self, scope: Scope) -> Result<Arc<ScopeKeys>> {
        let mut keys = self.load(scope).await?;
        if keys.is_empty() {
            self.make(scope, 1).await?;
            keys = self.load(scope).await?;
        }
        let newest =
            keys.last().ok_or_else(|| ErrorKind::Internal.with("a scope has no data key"))?.version();
        let reserved = match self.scopes.get(&scope) {
            Some(known) if known.newest().version() == newest => known.reserved.swap(0, Ordering::AcqRel),
            _ => 0,
        };
        let keys = Arc::new(ScopeKeys { keys, reserved: AtomicU64::new(reserved) });
        self.scopes.insert(scope, keys.clone());
        Ok(keys)
    }

    /// Every version, or the newest thousand, newest last.
    async fn load(&self, scope: Scope) -> Result<Vec<Arc<DataKey>>> {
        let partition = partition_of(scope);
        let scan = Scan {
            table: &tables::DATA_KEYS,
            scope: Scope::Region,
            partition: partition.clone(),
            from: Bytes::new(),
            to: Bytes::new(),
            descending: true,
            limit: SCAN_ROWS_MAX,
        };
        let rows = self.engine.scan(scan).await?;
        rows.iter().rev().map(|row| self.unwrap(&partition, row)).collect()
    }

    fn unwrap(&self, partition: &[u8], row: &Row) -> Result<Arc<DataKey>> {
        let version = <[u8; 4]>::try_from(&*row.clustering)
            .map_err(|_| ErrorKind::Internal.with("a data key has no version"))?;
        let mut key = self
            .region_key
            .unwrap(&row.value, &self.place(partition, &row.clustering))
            .map_err(|_| ErrorKind::Internal.with("a data key does not open with the region key"))?;
        Ok(Arc::new(DataKey::new(u32::from_be_bytes(version), &mut key)))
    }

    /// Writes a new data key, unless somebody else has written that version just now.
    async fn make(&self, scope: Scope, version: u32) -> Result<()> {
        let (partition, clustering) = (partition_of(scope), version.to_be_bytes());
        let mut key = Zeroizing::new([0u8; KEY_BYTES]);
        self.entropy.fill(&mut *key);
        let wrapped = self.region_key.wrap(&key, &self.place(&partition, &clustering), self.nonce());
        let row = Put { key: key_row(&partition, &clustering), value: wrapped.into(), expires_in_ms: None };
        if self.engine.insert_if_absent(row).await?.is_none() {
            metrics::counter!("bulkhead_storage_data_keys_made_total").increment(1);
        }
        Ok(())
    }

    fn place<'a>(&self, partition: &'a [u8], clustering: &'a [u8]) -> RowIdentity<'a> {
        RowIdentity {
            region: self.region.name(),
            scope: &[],
            table: tables::DATA_KEYS.name,
            partition,
            clustering,
        }
    }
}

fn partition_of(scope: Scope) -> Bytes {
    match scope {
        Scope::Region => Bytes::from_static(b"region"),
        Scope::App(app) => Bytes::copy_from_slice(&app.0),
    }
}

fn key_row(partition: &[u8], clustering: &[u8]) -> RowKey {
    RowKey {
        table: &tables::DATA_KEYS,
        scope: Scope::Region,
        partition: Bytes::copy_from_slice(partition),
        clustering: Bytes::copy_from_slice(clustering),
    }
}
