use std::sync::Arc;

use async_trait::async_trait;
use bulkhead_bus::{BusKey, BusKeys};
use bulkhead_model::{ErrorKind, ManualClock, Result};
use bulkhead_rpc::{BusKeysClient, RpcServer};
use bulkhead_store::Store;
use bulkhead_store_embedded::EmbeddedStore;
use zeroize::Zeroizing;

use crate::support::{REGION, Serving};

/// Keys that tell the hour; only hours below 100 have one.
pub(crate) struct CountedKeys;

#[async_trait]
impl BusKeys for CountedKeys {
    async fn hour_key(&self, hour: u64) -> Result<BusKey> {
        match u8::try_from(hour) {
            Ok(hour @ 0..100) => Ok(BusKey::new(Zeroizing::new([hour; 32]))),
            _ => Err(ErrorKind::InvalidArgument.with("no such hour")),
        }
    }

    async fn naming_key(&self) -> Result<BusKey> {
        Ok(BusKey::new(Zeroizing::new([255; 32])))
    }
}

#[tokio::test]
async fn keys_of_the_bus_pass_and_refusals_too() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> =
        EmbeddedStore::open(folder.path(), REGION, Arc::new(ManualClock::at(1))).unwrap();
    let serving =
        Serving::start(|stop| RpcServer::storage(REGION, store, stop).with_bus_keys(Arc::new(CountedKeys)))
            .await;
    let keys = BusKeysClient::new(serving.peer(REGION));
    assert_eq!(keys.hour_key(7).await.unwrap().bytes(), &[7; 32]);
    assert_eq!(keys.naming_key().await.unwrap().bytes(), &[255; 32]);
    assert_eq!(keys.hour_key(100).await.err().unwrap().kind(), ErrorKind::InvalidArgument);
    drop(keys);
    serving.stop().await;
}
