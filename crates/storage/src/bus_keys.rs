use std::sync::Arc;

use async_trait::async_trait;
use bulkhead_bus::{BusKey, BusKeys, HOUR_MS};
use bulkhead_model::{Clock, ErrorKind, Region, Result};
use bulkhead_seal::{KEY_BYTES, RegionKey, derive_key};
use zeroize::Zeroizing;

/// How many hours before and after its own the service hands out: the neighbours that a router uses, and one more for
/// clocks that differ.
const HOURS_AROUND: u64 = 2;

/// Derives the keys of the bus from the region key, so that every storage process of a region hands out the same ones and
/// none is stored.
///
/// It keeps a root of its own: what it holds tells nothing of the keys of stored data.
pub struct BusKeyService {
    root: Zeroizing<[u8; KEY_BYTES]>,
    clock: Arc<dyn Clock>,
}

impl BusKeyService {
    /// The keys of the region's bus.
    pub fn new(region: Region, region_key: &RegionKey, clock: Arc<dyn Clock>) -> Arc<Self> {
        let root = region_key.derive(format!("bulkhead bus {region}").as_bytes());
        Arc::new(Self { root, clock })
    }
}

#[async_trait]
impl BusKeys for BusKeyService {
    async fn hour_key(&self, hour: u64) -> Result<BusKey> {
        let now = self.clock.now_ms() / HOUR_MS;
        if hour.abs_diff(now) > HOURS_AROUND {
            return Err(ErrorKind::InvalidArgument.with("no key of the bus is handed out for that hour"));
        }
        Ok(BusKey::new(derive_key(&self.root, format!("hour {hour}").as_bytes())))
    }

    async fn naming_key(&self) -> Result<BusKey> {
        Ok(BusKey::new(derive_key(&self.root, b"naming")))
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_model::ManualClock;

    use super::*;

    const NOW: u64 = 500_000;

    fn service(region: Region, key: &str) -> Arc<BusKeyService> {
        let region_key = RegionKey::from_hex(&key.repeat(32)).unwrap();
        BusKeyService::new(region, &region_key, Arc::new(ManualClock::at(NOW * HOUR_MS)))
    }

    #[tokio::test]
    async fn every_process_of_a_region_hands_out_the_same_keys_and_another_region_other_ones() {
        let one = service(Region::Singapore, "ab");
        let hour = one.hour_key(NOW).await.unwrap();
        let same = service(Region::Singapore, "ab").hour_key(NOW).await.unwrap();
        assert_eq!(hour.bytes(), same.bytes());
        let others = [
            one.hour_key(NOW + 1).await.unwrap(),
            one.naming_key().await.unwrap(),
            service(Region::Frankfurt, "ab").hour_key(NOW).await.unwrap(),
            service(Region::Singapore, "ac").hour_key(NOW).await.unwrap(),
        ];
        assert!(others.iter().all(|other| other.bytes() != hour.bytes()));
    }

    #[tokio::test]
    async fn only_hours_around_now_are_handed_out() {
        let service = service(Region::Singapore, "ab");
        for hour in NOW - HOURS_AROUND..=NOW + HOURS_AROUND {
            assert!(service.hour_key(hour).await.is_ok());
        }
        for hour in [NOW - HOURS_AROUND - 1, NOW + HOURS_AROUND + 1, 0, u64::MAX] {
            let refused = service.hour_key(hour).await.err().unwrap();
            assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
        }
    }
}
