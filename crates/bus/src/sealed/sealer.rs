use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bulkhead_model::{Clock, Entropy, ErrorKind, Region, Result};
use bulkhead_seal::{DataKey, NONCE_BYTES, RowIdentity, key_version_of, open, seal};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use parking_lot::RwLock;
use sha2::Sha256;

use crate::{BusKeys, HOUR_MS, Topic};

/// How often the keys around the current hour are looked after.
const KEYS_EVERY: Duration = Duration::from_secs(30);

/// Bytes of a hidden name: half an HMAC-SHA-256, too many to meet by chance.
const HIDDEN_BYTES: usize = 16;

/// What sealing adds to a payload: format, key version, nonce and tag.
pub(super) const SEALED_EXTRA_BYTES: usize = 1 + 4 + NONCE_BYTES + 16;

/// The keys of the bus as a router holds them.
pub struct Sealer {
    region: Region,
    source: Arc<dyn BusKeys>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    naming: Hmac<Sha256>,
    hours: RwLock<BTreeMap<u64, Arc<DataKey>>>,
}

/// What is sealed, as a part of the additional data.
#[derive(Clone, Copy)]
pub(super) enum Use {
    Frame,
    RegistryEntry,
}

/// Why something did not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unopened {
    /// Of an hour that is neither this one nor a neighbour, or no sealed value at all.
    Hour,
    /// The key of its hour is not here yet.
    KeyMissing,
    /// Forged, damaged, or sealed for another topic or region.
    Seal,
}

impl Sealer {
    /// Fetches the keys of now and keeps fetching those of the next hours, until it is dropped. `Unavailable` or
    /// `Timeout` when they do not come.
    pub async fn start(
        region: Region,
        source: Arc<dyn BusKeys>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Arc<Self>> {
        let naming = source.naming_key().await?;
        let naming = Hmac::new_from_slice(naming.bytes()).expect("HMAC takes a key of any length");
        let sealer =
            Arc::new(Self { region, source, clock, entropy, naming, hours: RwLock::new(BTreeMap::new()) });
        sealer.sealing_key().await?;
        sealer.fetch_around().await;
        tokio::spawn(keep_keys(Arc::downgrade(&sealer)));
        Ok(sealer)
    }

    /// The topic under the name that others may see; it keeps its slot.
    pub(super) fn hide(&self, topic: &Topic) -> Topic {
        Topic::opaque(topic.slot(), self.hidden(b"topic", &[topic.name()]))
    }

    /// The field of a key under the name that others may see.
    pub(super) fn hide_field(&self, key: &Topic, field: &[u8]) -> Bytes {
        self.hidden(b"field", &[key.name(), field])
    }

    /// The key of the current hour, fetched if it is not here.
    pub(super) async fn sealing_key(&self) -> Result<Arc<DataKey>> {
        self.key(self.hour()).await
    }

    /// As many fresh nonces as values are to be sealed, drawn at once.
    pub(super) fn nonces(&self, count: usize) -> impl Iterator<Item = [u8; NONCE_BYTES]> + use<> {
        let mut random = vec![0; count * NONCE_BYTES];
        self.entropy.fill(&mut random);
        let mut at = 0;
        std::iter::from_fn(move || {
            let nonce = random.get(at..at + NONCE_BYTES)?.try_into().ok()?;
            at += NONCE_BYTES;
            Some(nonce)
        })
    }

    pub(super) fn seal(
        &self,
        key: &DataKey,
        nonce: [u8; NONCE_BYTES],
        topic: &Topic,
        what: Use,
        value: &[u8],
    ) -> Bytes {
        let hour = u64::from(key.version()).to_be_bytes();
        seal(key, &self.place(topic, what, &hour), nonce, value).into()
    }

    pub(super) fn open(&self, topic: &Topic, what: Use, sealed: &[u8]) -> Result<Bytes, Unopened> {
        let hour = u64::from(key_version_of(sealed).map_err(|_| Unopened::Hour)?);
        if hour.abs_diff(self.hour()) > 1 {
            return Err(Unopened::Hour);
        }
        let key = self.hours.read().get(&hour).cloned().ok_or(Unopened::KeyMissing)?;
        let place_hour = hour.to_be_bytes();
        match open(&key, &self.place(topic, what, &place_hour), sealed) {
            Ok(value) => Ok(value.into()),
            Err(_) => Err(Unopened::Seal),
        }
    }

    /// Fetches what is missing of the hours around now; one that does not come is asked for again later.
    pub(super) async fn fetch_around(&self) {
        let now = self.hour();
        for hour in [now, now + 1, now.saturating_sub(1)] {
            if let Err(error) = self.key(hour).await {
                tracing::warn!(hour, %error, "a key of the bus did not come");
            }
        }
    }

    async fn key(&self, hour: u64) -> Result<Arc<DataKey>> {
        if let Some(key) = self.hours.read().get(&hour) {
            return Ok(key.clone());
        }
        let fetched = self.source.hour_key(hour).await?;
        let version = u32::try_from(hour).map_err(|_| ErrorKind::InvalidArgument.with("no such hour"))?;
        let mut bytes = *fetched.bytes();
        let key = Arc::new(DataKey::new(version, &mut bytes));
        let now = self.hour();
        let mut hours = self.hours.write();
        hours.retain(|known, _| known.abs_diff(now) <= 1);
        Ok(hours.entry(hour).or_insert(key).clone())
    }

    fn hour(&self) -> u64 {
        self.clock.now_ms() / HOUR_MS
    }

    fn hidden(&self, what: &[u8], parts: &[&[u8]]) -> Bytes {
        let mut mac = self.naming.clone();
        for part in std::iter::once(&what).chain(parts) {
            mac.update(&(part.len() as u32).to_be_bytes());
            mac.update(part);
        }
        Bytes::copy_from_slice(&mac.finalize().into_bytes()[..HIDDEN_BYTES])
    }

    fn place<'a>(&self, topic: &'a Topic, what: Use, hour: &'a [u8]) -> RowIdentity<'a> {
        let table = match what {
            Use::Frame => "bus frame",
            Use::RegistryEntry => "bus registry",
        };
        RowIdentity {
            region: self.region.name(),
            scope: &[],
            table,
            partition: topic.name(),
            clustering: hour,
        }
    }
}

async fn keep_keys(sealer: Weak<Sealer>) {
    loop {
        tokio::time::sleep(KEYS_EVERY).await;
        let Some(sealer) = sealer.upgrade() else { return };
        sealer.fetch_around().await;
    }
}
