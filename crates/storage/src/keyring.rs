//! Data keys: made when a scope first seals, wrapped by the region key, several versions beside each other.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bulkhead_model::{Entropy, ErrorKind, Region, Result};
use bulkhead_seal::{DATA_KEY_USES_MAX, DataKey, KEY_BYTES, NONCE_BYTES, RegionKey, RowIdentity};
use bulkhead_store::{Put, Row, RowKey, SCAN_ROWS_MAX, Scan, Scope, Store, tables};
use bytes::Bytes;
use parking_lot::RwLock;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

/// Partition of the row that tells a right region key from a wrong one.
const CHECK_PARTITION: &[u8] = b"check";

/// Room below the limit for the writes that hold a key while it is replaced.
const USES_UNCOUNTED_MAX: u64 = 1 << 24;

/// Data keys of one scope, newest last; never empty once made.
struct ScopeKeys {
    keys: Vec<Arc<DataKey>>,
    /// Values sealed by the newest key in this process.
    uses: AtomicU64,
}

pub(crate) struct Keyring {
    engine: Arc<dyn Store>,
    region: Region,
    region_key: RegionKey,
    entropy: Arc<dyn Entropy>,
    scopes: RwLock<HashMap<Scope, Arc<ScopeKeys>>>,
    /// Held while keys are read or made, so that a scope is loaded once.
    loading: Mutex<()>,
}

impl Keyring {
    /// Checks the region key against the engine, or marks the engine with it when the engine is new.
    pub(crate) async fn open(
        engine: Arc<dyn Store>,
        region: Region,
        region_key: RegionKey,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self> {
        let keyring = Self {
            engine,
            region,
            region_key,
            entropy,
            scopes: RwLock::default(),
            loading: Mutex::default(),
        };
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

    /// The newest key of a scope, counted as used once more; a key at its limit is replaced first.
    pub(crate) async fn sealing(&self, scope: Scope) -> Result<Arc<DataKey>> {
        let keys = self.keys_of(scope).await?;
        if keys.uses.fetch_add(1, Ordering::Relaxed) >= DATA_KEY_USES_MAX - USES_UNCOUNTED_MAX {
            return self.rotate(scope).await;
        }
        keys.keys.last().cloned().ok_or_else(|| ErrorKind::Internal.with("a scope has no data key"))
    }

    /// Counts a further use of the newest key by a caller that still holds it.
    pub(crate) fn count(&self, scope: Scope) {
        if let Some(keys) = self.scopes.read().get(&scope) {
            keys.uses.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The key of a version, for opening.
    pub(crate) async fn opening(&self, scope: Scope, version: u32) -> Result<Arc<DataKey>> {
        let find = |keys: &ScopeKeys| keys.keys.iter().find(|key| key.version() == version).cloned();
        if let Some(key) = find(&*self.keys_of(scope).await?) {
            return Ok(key);
        }
        // Another storage process may have rotated since this one read the scope's keys.
        self.scopes.write().remove(&scope);
        let found = find(&*self.keys_of(scope).await?);
        found.ok_or_else(|| ErrorKind::Internal.with("a value names a data key that is not there"))
    }

    /// Makes a new version for a scope; the old ones go on opening.
    pub(crate) async fn rotate(&self, scope: Scope) -> Result<Arc<DataKey>> {
        let _loading = self.loading.lock().await;
        let mut keys = self.load(scope).await?;
        let version = keys.last().map_or(1, |key| key.version() + 1);
        self.make(scope, version).await?;
        keys = self.load(scope).await?;
        let newest = keys.last().cloned();
        self.scopes.write().insert(scope, Arc::new(ScopeKeys { keys, uses: AtomicU64::new(0) }));
        metrics::counter!("bulkhead_storage_key_rotations_total").increment(1);
        newest.ok_or_else(|| ErrorKind::Internal.with("a scope has no data key"))
    }

    /// Random bytes for one seal.
    pub(crate) fn nonce(&self) -> [u8; NONCE_BYTES] {
        let mut nonce = [0; NONCE_BYTES];
        self.entropy.fill(&mut nonce);
        nonce
    }

    async fn keys_of(&self, scope: Scope) -> Result<Arc<ScopeKeys>> {
        if let Some(keys) = self.scopes.read().get(&scope) {
            return Ok(keys.clone());
        }
        let _loading = self.loading.lock().await;
        if let Some(keys) = self.scopes.read().get(&scope) {
            return Ok(keys.clone());
        }
        let mut keys = self.load(scope).await?;
        if keys.is_empty() {
            self.make(scope, 1).await?;
            keys = self.load(scope).await?;
        }
        let keys = Arc::new(ScopeKeys { keys, uses: AtomicU64::new(0) });
        self.scopes.write().insert(scope, keys.clone());
        Ok(keys)
    }

    async fn load(&self, scope: Scope) -> Result<Vec<Arc<DataKey>>> {
        let partition = partition_of(scope);
        let scan = Scan {
            table: &tables::DATA_KEYS,
            scope: Scope::Region,
            partition: partition.clone(),
            from: Bytes::new(),
            to: Bytes::new(),
            descending: false,
            limit: SCAN_ROWS_MAX,
        };
        let rows = self.engine.scan(scan).await?;
        rows.iter().map(|row| self.unwrap(&partition, row)).collect()
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
        self.engine.insert_if_absent(row).await?;
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
