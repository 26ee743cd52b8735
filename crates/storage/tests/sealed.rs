//! What the engine gets to see, and what only the right key in the right place opens.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use bulkhead_model::{AppUuid, ErrorKind, ManualClock, MessageId, Region, SeededEntropy};
use bulkhead_seal::RegionKey;
use bulkhead_storage::StorageService;
use bulkhead_store::contract::{Fixture, run_all};
use bulkhead_store::{Mutation, Put, RowKey, Scan, Scope, Store, tables};
use bulkhead_store_embedded::EmbeddedStore;
use bytes::Bytes;

const NOW_MS: u64 = 1_800_000_000_000;
const APP: AppUuid = AppUuid([1; 16]);
const CANARY: &[u8] = b"canary in the coal mine";

struct Region1 {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    engine: Arc<EmbeddedStore>,
    storage: Arc<StorageService>,
}

fn region_key(digit: &str) -> RegionKey {
    RegionKey::from_hex(&digit.repeat(64)).unwrap()
}

fn open(path: &Path, clock: &Arc<ManualClock>) -> Arc<EmbeddedStore> {
    EmbeddedStore::open(path, Region::Singapore, clock.clone()).unwrap()
}

async fn start(
    engine: &Arc<EmbeddedStore>,
    region: Region,
    key: &str,
) -> bulkhead_model::Result<Arc<StorageService>> {
    let clock = Arc::new(ManualClock::at(NOW_MS));
    StorageService::start(engine.clone(), region, region_key(key), clock, Arc::new(SeededEntropy::new(1)))
        .await
}

async fn region() -> Region1 {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(NOW_MS));
    let engine = open(folder.path(), &clock);
    let storage = start(&engine, Region::Singapore, "a").await.unwrap();
    Region1 { folder, clock, engine, storage }
}

fn message(id: u8) -> RowKey {
    RowKey {
        table: &tables::MESSAGES,
        scope: Scope::App(APP),
        partition: Bytes::from_static(b"d:alice:bob"),
        clustering: Bytes::copy_from_slice(&MessageId::new(NOW_MS, 7, id.into()).0.to_be_bytes()),
    }
}

fn put(key: RowKey, value: &[u8]) -> Mutation {
    Mutation::Put(Put { key, value: Bytes::copy_from_slice(value), expires_in_ms: None })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_storage_service_keeps_the_contract() {
    run_all(async || {
        let region = region().await;
        Fixture { store: region.storage, clock: region.clock, keep: Box::new((region.engine, region.folder)) }
    })
    .await;
}

#[tokio::test]
async fn no_value_is_readable_in_any_file_before_and_after_a_rotation() {
    let region = region().await;
    region.storage.write(vec![put(message(1), CANARY)]).await.unwrap();
    region.storage.rotate(Scope::App(APP)).await.unwrap();
    region.storage.write(vec![put(message(2), CANARY)]).await.unwrap();
    for id in [1, 2] {
        assert_eq!(region.storage.get(message(id)).await.unwrap().unwrap(), CANARY, "both versions open");
    }
    region.engine.close().await;
    let mut folders = vec![region.folder.path().to_owned()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                files += 1;
                let bytes = fs::read(entry.path()).unwrap();
                assert!(!bytes.windows(CANARY.len()).any(|window| window == CANARY), "{:?}", entry.path());
            }
        }
    }
    assert!(files > 0);
}

#[tokio::test]
async fn a_wrong_region_key_is_found_at_the_start() {
    let region = region().await;
    region.storage.write(vec![put(message(1), CANARY)]).await.unwrap();
    let wrong = start(&region.engine, Region::Singapore, "b").await.err().unwrap();
    assert_eq!(wrong.kind(), ErrorKind::InvalidArgument);
    assert!(wrong.message().contains("region key"), "{wrong}");
    assert!(
        start(&region.engine, Region::Frankfurt, "a").await.is_err(),
        "nor does it open in another region"
    );
    let again = start(&region.engine, Region::Singapore, "a").await.unwrap();
    assert_eq!(again.get(message(1)).await.unwrap().unwrap(), CANARY);
}

#[tokio::test]
async fn a_value_moved_to_another_row_does_not_open() {
    let region = region().await;
    region.storage.write(vec![put(message(1), CANARY)]).await.unwrap();
    let sealed = region.engine.get(message(1)).await.unwrap().unwrap();
    let other_app = RowKey { scope: Scope::App(AppUuid([2; 16])), ..message(1) };
    for target in [message(2), other_app] {
        region.engine.write(vec![put(target.clone(), &sealed)]).await.unwrap();
        let moved = region.storage.get(target).await.unwrap_err();
        assert_eq!(moved.kind(), ErrorKind::Internal);
        assert!(!format!("{moved:?}").contains("canary"));
    }
}

#[tokio::test]
async fn a_row_and_its_data_key_copied_to_another_region_do_not_open_there() {
    let here = region().await;
    here.storage.write(vec![put(message(1), CANARY)]).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let engine = EmbeddedStore::open(folder.path(), Region::Frankfurt, here.clock.clone()).unwrap();
    let there = start(&engine, Region::Frankfurt, "a").await.unwrap();
    let data_key = data_key_row(Bytes::copy_from_slice(&APP.0), 1);
    let copied = |value| put(message(1), value);
    let (sealed, wrapped) = (
        here.engine.get(message(1)).await.unwrap().unwrap(),
        here.engine.get(data_key.clone()).await.unwrap(),
    );
    engine.write(vec![copied(&sealed)]).await.unwrap();
    // Under a data key that Frankfurt makes for itself, and under the copied one.
    assert_eq!(there.get(message(1)).await.unwrap_err().kind(), ErrorKind::Internal);
    engine.write(vec![put(data_key, &wrapped.unwrap())]).await.unwrap();
    let again = start(&engine, Region::Frankfurt, "a").await.unwrap();
    assert_eq!(again.get(message(1)).await.unwrap_err().kind(), ErrorKind::Internal);
}

fn data_key_row(partition: Bytes, version: u32) -> RowKey {
    RowKey {
        table: &tables::DATA_KEYS,
        scope: Scope::Region,
        partition,
        clustering: Bytes::copy_from_slice(&version.to_be_bytes()),
    }
}

/// Four bytes of version behind one of format.
async fn version_that_sealed(region: &Region1, id: u8) -> u32 {
    let sealed = region.engine.get(message(id)).await.unwrap().unwrap();
    u32::from_be_bytes(sealed[1..5].try_into().unwrap())
}

#[tokio::test]
async fn a_data_key_is_replaced_before_its_last_use_however_often_the_process_starts() {
    const USES_MAX: u64 = 1 << 31;
    const RESERVED: u64 = 1 << 20;
    let region = region().await;
    let uses = data_key_row(Bytes::from([b"uses:", &APP.0[..]].concat()), 1);
    let counted = |value: Bytes| u64::from_be_bytes(value[..].try_into().unwrap());
    region.storage.write(vec![put(message(1), CANARY), put(message(2), CANARY)]).await.unwrap();
    assert_eq!(counted(region.engine.get(uses.clone()).await.unwrap().unwrap()), RESERVED);
    let second = start(&region.engine, Region::Singapore, "a").await.unwrap();
    second.write(vec![put(message(1), CANARY)]).await.unwrap();
    assert_eq!(counted(region.engine.get(uses.clone()).await.unwrap().unwrap()), 2 * RESERVED);

    region.engine.write(vec![put(uses.clone(), &(USES_MAX - RESERVED).to_be_bytes())]).await.unwrap();
    let last = start(&region.engine, Region::Singapore, "a").await.unwrap();
    last.write(vec![put(message(1), CANARY)]).await.unwrap();
    assert_eq!(counted(region.engine.get(uses).await.unwrap().unwrap()), USES_MAX, "the last reservation");
    assert_eq!(version_that_sealed(&region, 1).await, 1);
    let next = start(&region.engine, Region::Singapore, "a").await.unwrap();
    next.write(vec![put(message(3), CANARY)]).await.unwrap();
    assert_eq!(version_that_sealed(&region, 3).await, 2, "none is left of the first version");
    for id in [1, 2, 3] {
        // The process that started first has not heard of the second version.
        assert_eq!(region.storage.get(message(id)).await.unwrap().unwrap(), CANARY);
    }
}

#[tokio::test]
async fn processes_that_start_at_once_agree_on_the_first_key() {
    let region = region().await;
    let mut starts = tokio::task::JoinSet::new();
    for id in 0..8 {
        let storage = start(&region.engine, Region::Singapore, "a").await.unwrap();
        starts.spawn(async move {
            storage.write(vec![put(message(id), CANARY)]).await.unwrap();
            storage
        });
    }
    for storage in starts.join_all().await {
        for id in 0..8 {
            assert_eq!(storage.get(message(id)).await.unwrap().unwrap(), CANARY);
        }
    }
}

#[tokio::test]
async fn a_row_that_ends_with_a_plan_cannot_be_set_without_an_end() {
    let region = region().await;
    let set = region.storage.compare_and_set(message(1), None, Bytes::new()).await;
    assert_eq!(set.unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[tokio::test]
async fn data_keys_cannot_be_named_through_the_service() {
    let region = region().await;
    let key = RowKey { table: &tables::DATA_KEYS, scope: Scope::Region, ..message(1) };
    let scan = Scan {
        table: &tables::DATA_KEYS,
        scope: Scope::Region,
        partition: Bytes::from_static(b"region"),
        from: Bytes::new(),
        to: Bytes::new(),
        descending: false,
        limit: 10,
    };
    let kind = |error: bulkhead_model::Error| error.kind();
    let refused = Err(ErrorKind::InvalidArgument);
    assert_eq!(region.storage.get(key.clone()).await.map_err(kind).map(drop), refused);
    assert_eq!(region.storage.scan(scan).await.map_err(kind).map(drop), refused);
    assert_eq!(region.storage.write(vec![put(key.clone(), b"x")]).await.map_err(kind), refused);
    assert_eq!(region.storage.write(vec![Mutation::Delete(key.clone())]).await.map_err(kind), refused);
    assert_eq!(
        region.storage.compare_and_set(key, None, Bytes::new()).await.map_err(kind).map(drop),
        refused
    );
}
