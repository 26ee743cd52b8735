//! Storage on each engine, with a clock that the tests move, and a count of what the engine is asked.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bulkhead_api::AttachmentApi;
use bulkhead_model::{AppUuid, ErrorKind, ManualClock, MessageId, Region, Result, SeededEntropy};
use bulkhead_proto::attachments::{AttachmentRequest, BeginUpload, FinishUpload};
use bulkhead_proto::records::{App, AppName, Conversation};
use bulkhead_seal::RegionKey;
use bulkhead_storage::{
    AttachmentService, AttachmentSettings, ObjectPlace, RetentionService, StorageService, Swept,
};
use bulkhead_store::{
    Engine, Insert, Mutation, Put, Row, RowKey, RowRange, SCAN_ROWS_MAX, Scan, Scope, Store, Table, tables,
};
use bulkhead_store_cql::{CqlSettings, CqlStore, migrate};
use bulkhead_store_embedded::EmbeddedStore;
use bulkhead_testkit::Cassandra;
use bytes::Bytes;
use prost::Message;
use tempfile::TempDir;

pub(crate) const HOUR_MS: u64 = 60 * 60 * 1000;
pub(crate) const DAY_MS: u64 = 24 * HOUR_MS;
/// Ten in the morning of a day.
pub(crate) const NOW_MS: u64 = 1_800_000_000_000 / DAY_MS * DAY_MS + 10 * HOUR_MS;
pub(crate) const APP: AppUuid = AppUuid([1; 16]);
pub(crate) const OTHER_APP: AppUuid = AppUuid([2; 16]);

pub(crate) struct Bed {
    pub(crate) engine: Arc<Counted>,
    pub(crate) storage: Arc<StorageService>,
    pub(crate) attachments: Arc<AttachmentService>,
    pub(crate) retention: Arc<RetentionService>,
    pub(crate) clock: Arc<ManualClock>,
    /// `None` on CQL.
    pub(crate) embedded: Option<Arc<EmbeddedStore>>,
    folder: TempDir,
}

impl Bed {
    pub(crate) async fn on_folder() -> Self {
        let (folder, clock) = (tempfile::tempdir().unwrap(), Arc::new(ManualClock::at(NOW_MS)));
        let rows = folder.path().join("rows");
        let engine = EmbeddedStore::open(&rows, Region::Singapore, clock.clone()).unwrap();
        Self::on(folder, clock, engine.clone(), Some(engine)).await
    }

    pub(crate) async fn on_cassandra() -> Self {
        let node = tokio::task::spawn_blocking(Cassandra::shared).await.unwrap().unwrap();
        let settings = CqlSettings {
            region: Region::Singapore,
            contact_points: vec![node.contact_point()],
            keyspace: node.new_keyspace(),
            data_center: node.data_center().to_owned(),
            credentials: None,
            tls: None,
            call_timeout: Duration::from_secs(10),
        };
        migrate(&settings, 1, NOW_MS).await.unwrap();
        let clock = Arc::new(ManualClock::at(NOW_MS));
        let engine = CqlStore::connect(&settings, clock.clone()).await.unwrap();
        Self::on(tempfile::tempdir().unwrap(), clock, engine, None).await
    }

    async fn on(
        folder: TempDir,
        clock: Arc<ManualClock>,
        engine: Arc<dyn Engine>,
        embedded: Option<Arc<EmbeddedStore>>,
    ) -> Self {
        let engine = Arc::new(Counted { engine, calls: AtomicUsize::new(0), rows: AtomicUsize::new(0) });
        let (storage, attachments, retention) = services(&engine, &clock, folder.path(), 1).await;
        let bed = Self { engine, storage, attachments, retention, clock, embedded, folder };
        bed.set_plan(APP, "pro").await;
        bed.set_plan(OTHER_APP, "pro").await;
        bed
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// One more storage process on the same engine.
    pub(crate) async fn another(&self, seed: u64) -> (Arc<StorageService>, Arc<RetentionService>) {
        let (storage, _, retention) = services(&self.engine, &self.clock, self.path(), seed).await;
        (storage, retention)
    }

    pub(crate) async fn set_plan(&self, app: AppUuid, plan: &str) {
        let app_name = format!("app{}", app.0[0]);
        let name = AppName { org_name: "demo".into(), app_name: app_name.clone() };
        let record = App { uuid: Bytes::copy_from_slice(&app.0), plan: plan.into(), ..App::default() };
        let row = |table, partition: &[u8], clustering: String| RowKey {
            table,
            scope: Scope::Region,
            partition: Bytes::copy_from_slice(partition),
            clustering: clustering.into(),
        };
        let records = vec![
            put(row(&tables::APP_UUIDS, &app.0, String::new()), name.encode_to_vec()),
            put(row(&tables::APPS, b"apps", format!("demo#{app_name}")), record.encode_to_vec()),
        ];
        self.storage.write(records).await.unwrap();
    }

    /// A message of that instant, as a router writes it: with how both users stand to the channel.
    pub(crate) async fn send(&self, app: AppUuid, users: [&str; 2], at_ms: u64) {
        let id = MessageId::new(at_ms, 3, 0).0;
        let channel = channel(users);
        let row = Conversation { last_id: id, incoming: 1, ..Conversation::default() };
        let mut write = vec![put(message(app, &channel, at_ms), b"text".to_vec())];
        write.extend(users.map(|user| put(conversation(app, user, &channel), row.encode_to_vec())));
        self.storage.write(write).await.unwrap();
    }

    pub(crate) async fn send_to_group(&self, app: AppUuid, group: &str, at_ms: u64) {
        self.storage.write(vec![put(message(app, group, at_ms), b"text".to_vec())]).await.unwrap();
    }

    pub(crate) async fn upload(&self, app: AppUuid) -> Bytes {
        let begin = BeginUpload { app: Bytes::copy_from_slice(&app.0), bytes_max: 1000 };
        let mut upload = self.attachments.begin(begin).await.unwrap();
        upload.append(Bytes::from_static(b"content")).await.unwrap();
        let share_secret_hash = Bytes::from(vec![7; 32]);
        upload.finish(FinishUpload { share_secret_hash, ..FinishUpload::default() }).await.unwrap().uuid
    }

    /// What the outside is told of a file.
    pub(crate) async fn head(&self, app: AppUuid, uuid: &Bytes) -> Option<ErrorKind> {
        let request = AttachmentRequest { app: Bytes::copy_from_slice(&app.0), uuid: uuid.clone() };
        self.attachments.head(request).await.err().map(|error| error.kind())
    }

    /// The instants of the messages that are served of a channel.
    pub(crate) async fn served(&self, app: AppUuid, channel: &str) -> Vec<u64> {
        instants(self.storage.scan(scan(&tables::MESSAGES, app, channel.as_bytes())).await.unwrap())
    }

    /// The instants of the messages that the engine has of a channel.
    pub(crate) async fn kept(&self, app: AppUuid, channel: &str) -> Vec<u64> {
        instants(self.engine.scan(scan(&tables::MESSAGES, app, channel.as_bytes())).await.unwrap())
    }

    /// How many rows the engine has of a partition.
    pub(crate) async fn rows(&self, table: &'static Table, app: AppUuid, partition: &[u8]) -> usize {
        self.engine.scan(scan(table, app, partition)).await.unwrap().len()
    }

    /// Sweeps until nothing is left; what was removed.
    pub(crate) async fn sweep(&self) -> Swept {
        let mut sum = Swept::default();
        loop {
            let swept = self.retention.sweep().await.unwrap();
            sum.channels += swept.channels;
            sum.attachments += swept.attachments;
            if !swept.left {
                return sum;
            }
        }
    }

    /// Objects of attachments.
    pub(crate) fn objects(&self) -> usize {
        let mut found = 0;
        let mut folders = vec![self.path().join("objects/attachments")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                match entry.path() {
                    path if path.is_dir() => folders.push(path),
                    _ => found += 1,
                }
            }
        }
        found
    }
}

async fn services(
    engine: &Arc<Counted>,
    clock: &Arc<ManualClock>,
    folder: &Path,
    seed: u64,
) -> (Arc<StorageService>, Arc<AttachmentService>, Arc<RetentionService>) {
    let key = RegionKey::from_hex(&"a".repeat(64)).unwrap();
    let entropy = Arc::new(SeededEntropy::new(seed));
    let storage =
        StorageService::start(engine.clone(), Region::Singapore, key, clock.clone(), entropy.clone());
    let storage = storage.await.unwrap();
    let place = ObjectPlace::Folder(folder.join("objects"));
    let settings = AttachmentSettings { place, retention_ms: None, uploads_max: 3 };
    let attachments = AttachmentService::start(storage.clone(), clock.clone(), entropy.clone(), settings);
    let attachments = attachments.await.unwrap();
    let retention = RetentionService::new(storage.clone(), attachments.clone(), clock.clone(), &*entropy);
    (storage, attachments, retention)
}

/// The key of the channel of two users, in the order of their names.
pub(crate) fn channel([one, other]: [&str; 2]) -> String {
    format!("d:{one}:{other}")
}

pub(crate) fn message(app: AppUuid, channel: &str, at_ms: u64) -> RowKey {
    RowKey {
        table: &tables::MESSAGES,
        scope: Scope::App(app),
        partition: Bytes::copy_from_slice(channel.as_bytes()),
        clustering: Bytes::copy_from_slice(&MessageId::new(at_ms, 3, 0).0.to_be_bytes()),
    }
}

pub(crate) fn conversation(app: AppUuid, user: &str, channel: &str) -> RowKey {
    RowKey {
        table: &tables::CONVERSATIONS,
        scope: Scope::App(app),
        partition: Bytes::copy_from_slice(user.as_bytes()),
        clustering: Bytes::copy_from_slice(channel.as_bytes()),
    }
}

pub(crate) fn put(key: RowKey, value: impl Into<Bytes>) -> Mutation {
    Mutation::Put(Put { key, value: value.into(), expires_in_ms: None })
}

pub(crate) fn scan(table: &'static Table, app: AppUuid, partition: &[u8]) -> Scan {
    Scan {
        table,
        scope: Scope::App(app),
        partition: Bytes::copy_from_slice(partition),
        from: Bytes::new(),
        to: Bytes::new(),
        descending: false,
        limit: SCAN_ROWS_MAX,
    }
}

fn instants(rows: Vec<Row>) -> Vec<u64> {
    let instant = |row: Row| MessageId(u64::from_be_bytes(row.clustering[..].try_into().unwrap())).unix_ms();
    rows.into_iter().map(instant).collect()
}

/// An engine that counts what it is asked.
pub(crate) struct Counted {
    engine: Arc<dyn Engine>,
    calls: AtomicUsize,
    rows: AtomicUsize,
}

impl Counted {
    /// Calls, and rows that they read, since this was last asked.
    pub(crate) fn count(&self) -> (usize, usize) {
        (self.calls.swap(0, Ordering::SeqCst), self.rows.swap(0, Ordering::SeqCst))
    }

    fn called(&self, rows: usize) {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.rows.fetch_add(rows, Ordering::SeqCst);
    }
}

#[async_trait]
impl Store for Counted {
    async fn write(&self, mutations: Vec<Mutation>) -> Result<()> {
        self.called(0);
        self.engine.write(mutations).await
    }

    async fn write_before(&self, mutations: Vec<Mutation>, deadline_ms: u64) -> Result<()> {
        self.called(0);
        self.engine.write_before(mutations, deadline_ms).await
    }

    async fn insert_if_absent(&self, row: Insert) -> Result<Option<Bytes>> {
        self.called(1);
        self.engine.insert_if_absent(row).await
    }

    async fn compare_and_set(&self, key: RowKey, expected: Option<Bytes>, value: Bytes) -> Result<bool> {
        self.called(1);
        self.engine.compare_and_set(key, expected, value).await
    }

    async fn get_many(&self, keys: Vec<RowKey>) -> Result<Vec<Option<Bytes>>> {
        self.called(keys.len());
        self.engine.get_many(keys).await
    }

    async fn scan(&self, scan: Scan) -> Result<Vec<Row>> {
        let rows = self.engine.scan(scan).await?;
        self.called(rows.len());
        Ok(rows)
    }
}

#[async_trait]
impl Engine for Counted {
    async fn forget_range(&self, range: RowRange) -> Result<()> {
        self.called(0);
        self.engine.forget_range(range).await
    }

    async fn delete_unchanged(&self, key: RowKey, value: Bytes) -> Result<()> {
        self.called(1);
        self.engine.delete_unchanged(key, value).await
    }
}
