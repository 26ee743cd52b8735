use bulkhead_model::{AppUuid, Entropy, ErrorKind, Region, Result};
use bulkhead_seal::{DataKey, KEY_BYTES, NONCE_BYTES, RowIdentity, derive_key, open, seal};
use bulkhead_store::{RowKey, Scope, Table};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Bytes of the key of a map.
pub const MAP_KEY_BYTES: usize = KEY_BYTES;

/// Bytes of what stands for a user in the log: enough to tell users of one app apart.
const SUBJECT_BYTES: usize = 12;

/// Everything that depends on the map key.
pub(super) struct MapKeys {
    region: Region,
    app: AppUuid,
    sealing: DataKey,
    hashing: Zeroizing<[u8; KEY_BYTES]>,
    logging: Zeroizing<[u8; KEY_BYTES]>,
}

impl MapKeys {
    pub(super) fn new(key: &[u8; MAP_KEY_BYTES], region: Region, app: AppUuid) -> Self {
        let mut sealing = derive_key(key, b"token server: seal rows");
        Self {
            region,
            app,
            sealing: DataKey::new(1, &mut sealing),
            hashing: derive_key(key, b"token server: hash users to row keys"),
            logging: derive_key(key, b"token server: hash users for the log"),
        }
    }

    pub(super) fn row(&self, table: &'static Table, partition: impl Into<Bytes>) -> RowKey {
        RowKey { table, scope: Scope::App(self.app), partition: partition.into(), clustering: Bytes::new() }
    }

    /// The row key of a user.
    pub(super) fn hash(&self, user: &str) -> Vec<u8> {
        keyed_hash(&self.hashing, user)
    }

    /// What stands for a user in the log.
    pub(super) fn subject(&self, user: &str) -> String {
        hex::encode(&keyed_hash(&self.logging, user)[..SUBJECT_BYTES])
    }

    pub(super) fn seal(&self, row: &RowKey, value: &[u8], entropy: &dyn Entropy) -> Bytes {
        let mut nonce = [0; NONCE_BYTES];
        entropy.fill(&mut nonce);
        seal(&self.sealing, &self.place(row), nonce, value).into()
    }

    /// `Internal` for a value that does not open.
    pub(super) fn open(&self, row: &RowKey, sealed: &[u8]) -> Result<Vec<u8>> {
        open(&self.sealing, &self.place(row), sealed)
            .map_err(|_| ErrorKind::Internal.with("an entry of the map does not open"))
    }

    fn place<'a>(&'a self, row: &'a RowKey) -> RowIdentity<'a> {
        RowIdentity {
            region: self.region.name(),
            scope: row.scope_bytes(),
            table: row.table.name,
            partition: &row.partition,
            clustering: &row.clustering,
        }
    }
}

fn keyed_hash(key: &[u8; KEY_BYTES], text: &str) -> Vec<u8> {
    let mut hash = <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length");
    hash.update(text.as_bytes());
    hash.finalize().into_bytes().to_vec()
}
