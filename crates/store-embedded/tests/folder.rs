//! What a data folder says of itself, and what survives a crash.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bulkhead_model::{AppUuid, Clock, Entropy, ErrorKind, ManualClock, Region, SeededEntropy};
use bulkhead_store::{Mutation, Put, RowKey, Scope, Store, tables};
use bulkhead_store_embedded::{EmbeddedStore, OpenError, Settings};
use bytes::Bytes;

/// Names the folder for the process that [`what_was_acknowledged_survives_kill_9`] starts and kills.
const CHILD_FOLDER: &str = "BULKHEAD_TEST_CRASH_FOLDER";

/// The same for [`a_full_disk_is_an_error_and_opening_again_recovers`].
const FULL_FOLDER: &str = "BULKHEAD_TEST_FULL_FOLDER";

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

    let mark = fs::read_to_string(folder.path().join("bulkhead.json")).unwrap();
    assert_eq!(mark, r#"{"format_version":1,"region":"singapore","created_ms":1800000000000}"#);
    fs::remove_file(folder.path().join("bulkhead.json")).unwrap();
    let unmarked = open(folder.path(), Region::Virginia).err().unwrap();
    assert!(matches!(unmarked, OpenError::Damaged { .. }), "rows of an unknown region: {unmarked}");
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
    assert_eq!(store.write(put(2, None)).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(store.get(key(1)).await.unwrap_err().kind(), ErrorKind::Unavailable);
    // The closed one is still there and does not hold the folder; a dropped one does not either.
    drop(open(folder.path(), Region::Singapore).unwrap());
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

/// Later on the store's own threads than on those that read: what has expired there is still shown here.
struct LaterInside;

impl Clock for LaterInside {
    fn now_ms(&self) -> u64 {
        let inside = std::thread::current().name().is_some_and(|name| name.starts_with("store-"));
        if inside { 1_800_000_001_000 } else { 1_800_000_000_000 }
    }
}

#[tokio::test]
async fn a_store_sweeps_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { sweep_pause: Duration::ZERO, sweep_step_pause: Duration::ZERO };
    let store =
        EmbeddedStore::open_with(folder.path(), Region::Singapore, Arc::new(LaterInside), settings).unwrap();
    store.write([put(1, Some(0)), put(2, None)].concat()).await.unwrap();
    let swept = async {
        while store.get(key(1)).await.unwrap().is_some() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), swept).await.expect("the row is removed");
    assert!(store.get(key(2)).await.unwrap().is_some());
}

/// Not a test of its own: the process whose files may not grow beyond 65 MiB, which is 1 MiB more than fjall sets aside for
/// its journal.
#[test]
fn full_disk_child() {
    let Some(folder) = std::env::var_os(FULL_FOLDER) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = open(Path::new(&folder), Region::Singapore).unwrap();
        store.write(put(1, None)).await.unwrap();
        let mut large = vec![0; 1024 * 1024];
        // The journal compresses what can be compressed.
        SeededEntropy::new(1).fill(&mut large);
        let large = Bytes::from(large);
        let many =
            (100..170).map(|n| Mutation::Put(Put { key: key(n), value: large.clone(), expires_in_ms: None }));
        let refused = store.write(many.collect()).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unavailable);
        let after = store.write(put(2, None)).await.unwrap_err();
        assert_eq!(after.kind(), ErrorKind::Unavailable, "nothing is written behind a failed commit");
        assert_eq!(store.get(key(1)).await.unwrap(), Some(Bytes::from_static(b"1")), "reads go on");
        assert_eq!(store.get(key(100)).await.unwrap(), None);
    });
}

#[tokio::test]
async fn a_full_disk_is_an_error_and_opening_again_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let limited = r#"trap "" XFSZ; ulimit -f 133120; exec "$0" full_disk_child --exact"#;
    let child = Command::new("sh")
        .args(["-c", limited])
        .arg(std::env::current_exe().unwrap())
        .env(FULL_FOLDER, folder.path())
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    let store = open(folder.path(), Region::Singapore).unwrap();
    assert_eq!(store.get(key(1)).await.unwrap(), Some(Bytes::from_static(b"1")));
    assert_eq!(store.get(key(2)).await.unwrap(), None);
    store.write(put(2, None)).await.unwrap();
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

/// A folder of a version that knew nothing of when its rows expire; that version's rows are in its trees alone.
#[tokio::test]
async fn rows_of_an_earlier_version_are_swept_too() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(1_800_000_000_000));
    let store = EmbeddedStore::open(folder.path(), Region::Singapore, clock.clone()).unwrap();
    store.write([put(1, Some(1000)), put(2, None)].concat()).await.unwrap();
    store.close().await;
    {
        let database = fjall::Database::builder(folder.path().join("rows")).open().unwrap();
        let due = database.keyspace("rows-due", fjall::KeyspaceCreateOptions::default).unwrap();
        due.clear().unwrap();
        database.persist(fjall::PersistMode::SyncAll).unwrap();
    }
    clock.advance_ms(1000);
    let store = EmbeddedStore::open(folder.path(), Region::Singapore, clock.clone()).unwrap();
    assert_eq!(store.sweep().await.unwrap(), 1);
    clock.set_ms(1_800_000_000_000);
    assert_eq!(store.get(key(1)).await.unwrap(), None);
    assert!(store.get(key(2)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_row_that_was_written_anew_lives_on() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(1_800_000_000_000));
    let store = EmbeddedStore::open(folder.path(), Region::Singapore, clock.clone()).unwrap();
    store.write(put(1, Some(1000))).await.unwrap();
    store.write(put(1, Some(5000))).await.unwrap();
    clock.advance_ms(1000);
    assert_eq!(store.sweep().await.unwrap(), 0);
    assert!(store.get(key(1)).await.unwrap().is_some());
    clock.advance_ms(4000);
    assert_eq!(store.sweep().await.unwrap(), 1);
}
