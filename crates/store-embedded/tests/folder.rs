//! What a data folder says of itself, and what survives a crash.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use bulkhead_model::{AppUuid, ManualClock, Region};
use bulkhead_store::{Mutation, Put, RowKey, Scope, Store, tables};
use bulkhead_store_embedded::{EmbeddedStore, OpenError};
use bytes::Bytes;

/// Names the folder for the process that [`what_was_acknowledged_survives_kill_9`] starts and kills.
const CHILD_FOLDER: &str = "BULKHEAD_TEST_CRASH_FOLDER";

fn open(path: &Path, region: Region) -> Result<Arc<EmbeddedStore>, OpenError> {
    EmbeddedStore::open(path, region, Arc::new(ManualClock::at(1_800_000_000_000)))
}

fn key(n: u64) -> RowKey {
    RowKey {
        table: &tables::MESSAGES,
        scope: Scope::App(AppUuid([1; 16])),
        partition: Bytes::from_static(b"g:1"),
        clustering: Bytes::copy_from_slice(&n.to_be_bytes()),
    }
}

fn put(n: u64, expires_in_ms: Option<u64>) -> Vec<Mutation> {
    vec![Mutation::Put(Put { key: key(n), value: Bytes::from(n.to_string()), expires_in_ms })]
}

#[tokio::test]
async fn a_folder_belongs_to_one_region_one_process_and_formats_up_to_ours() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), Region::Singapore).unwrap();
    assert!(matches!(open(folder.path(), Region::Singapore), Err(OpenError::InUse { .. })));
    store.close().await;
    drop(store);
    let wrong = open(folder.path(), Region::Virginia).err().unwrap();
    assert!(matches!(wrong, OpenError::WrongRegion { .. }), "{wrong}");
    assert!(!wrong.to_string().contains('\n'), "one line: {wrong}");

    fs::write(folder.path().join("bulkhead.json"), br#"{"format_version":99,"region":"singapore"}"#).unwrap();
    assert!(matches!(open(folder.path(), Region::Singapore), Err(OpenError::NewerFormat { found: 99, .. })));
    fs::write(folder.path().join("bulkhead.json"), b"{").unwrap();
    assert!(matches!(open(folder.path(), Region::Singapore), Err(OpenError::Damaged { .. })));
    let file = folder.path().join("file");
    fs::write(&file, b"").unwrap();
    assert!(matches!(open(&file, Region::Singapore), Err(OpenError::Io { .. })));
}

#[tokio::test]
async fn a_closed_store_keeps_its_rows_and_refuses_more() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), Region::Singapore).unwrap();
    store.write(put(1, None)).await.unwrap();
    store.close().await;
    assert!(store.write(put(2, None)).await.is_err());
    drop(store);
    let store = open(folder.path(), Region::Singapore).unwrap();
    assert_eq!(store.get(key(1)).await.unwrap(), Some(Bytes::from_static(b"1")));
    assert_eq!(store.get(key(2)).await.unwrap(), None);
}

#[tokio::test]
async fn a_sweep_removes_what_has_expired_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(1_800_000_000_000));
    let store = EmbeddedStore::open(folder.path(), Region::Singapore, clock.clone()).unwrap();
    for n in 0..3000 {
        store.write(put(n, (n % 2 == 0).then_some(1000))).await.unwrap();
    }
    assert_eq!(store.sweep().await.unwrap(), 0);
    clock.advance_ms(1000);
    assert_eq!(store.sweep().await.unwrap(), 1500);
    assert_eq!(store.sweep().await.unwrap(), 0, "swept once, gone for good");
    clock.set_ms(1_800_000_000_000);
    assert_eq!(store.get(key(0)).await.unwrap(), None, "the row is gone, not only hidden");
    assert!(store.get(key(1)).await.unwrap().is_some());
}

/// Not a test of its own: the process that is killed. It writes, and prints each key when the write has answered.
#[test]
fn crash_child() {
    let Some(folder) = std::env::var_os(CHILD_FOLDER) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = open(Path::new(&folder), Region::Singapore).unwrap();
        for n in 0.. {
            store.write(put(n, None)).await.unwrap();
            println!("\nacknowledged {n}");
        }
    });
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["crash_child", "--exact", "--nocapture"])
        .env(CHILD_FOLDER, folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut acknowledged = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(n) = line.strip_prefix("acknowledged ") {
            acknowledged = n.parse().unwrap();
            if acknowledged == 500 {
                child.kill().unwrap();
            }
        }
    }
    child.wait().unwrap();
    assert!(acknowledged >= 500);
    let store = open(folder.path(), Region::Singapore).unwrap();
    for n in 0..=acknowledged {
        assert_eq!(
            store.get(key(n)).await.unwrap(),
            Some(Bytes::from(n.to_string())),
            "{n} was acknowledged"
        );
    }
}
