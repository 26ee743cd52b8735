use async_trait::async_trait;
use bulkhead_model::Result;
use bulkhead_seal::KEY_BYTES;
use zeroize::Zeroizing;

/// Milliseconds of the hour that one key seals.
pub const HOUR_MS: u64 = 60 * 60 * 1000;

/// The bytes of a key, cleared when dropped. Deliberately without `Debug`.
pub struct BusKey(Zeroizing<[u8; KEY_BYTES]>);

impl BusKey {
    /// Takes the bytes of a key.
    pub fn new(bytes: Zeroizing<[u8; KEY_BYTES]>) -> Self {
        Self(bytes)
    }

    /// The bytes, for whoever seals or hands the key on.
    pub fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

/// Where the keys of the bus come from: the storage service, which derives them from the region key.
///
/// Errors: `InvalidArgument` for an hour that the service does not hand out (only those around now), `Unavailable` or
/// `Timeout` when it does not answer.
#[async_trait]
pub trait BusKeys: Send + Sync + 'static {
    /// The key that seals frames of an hour, counted from the Unix epoch ([`HOUR_MS`]).
    async fn hour_key(&self, hour: u64) -> Result<BusKey>;

    /// The key that hides the names of topics; it stays the same.
    async fn naming_key(&self) -> Result<BusKey>;
}
