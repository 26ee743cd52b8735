use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bulkhead_api::{AttachmentApi, AttachmentUpload};
use bulkhead_model::{AppUuid, ErrorKind, ManualClock, Region, Result, SeededEntropy};
use bulkhead_proto::attachments::{AttachmentRequest, BeginUpload, FinishUpload, ReadAttachmentRequest};
use bulkhead_proto::records::Attachment;
use bulkhead_seal::RegionKey;
use bulkhead_storage::{
    AttachmentService, AttachmentSettings, ObjectPlace, RetentionService, S3Place, StorageService, Swept,
};
use bulkhead_store_embedded::EmbeddedStore;
use bulkhead_testkit::S3Server;
use bytes::Bytes;
use futures_util::TryStreamExt;
use tempfile::TempDir;
use zeroize::Zeroizing;

pub(crate) const NOW_MS: u64 = 1_800_000_000_000;
pub(crate) const HOUR_MS: u64 = 60 * 60 * 1000;
pub(crate) const DAY_MS: u64 = 24 * HOUR_MS;
pub(crate) const APP: AppUuid = AppUuid([1; 16]);
pub(crate) const OTHER_APP: AppUuid = AppUuid([2; 16]);
pub(crate) const CHUNK: usize = bulkhead_seal::CHUNK_BYTES;
pub(crate) const SEGMENT: usize = 64 * CHUNK;
pub(crate) const BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Where the objects of a test are.
pub(crate) enum Objects {
    Folder(PathBuf),
    Bucket(S3Server),
}

/// Attachments of one region.
pub(crate) struct Bed {
    pub(crate) attachments: Arc<AttachmentService>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) storage: Arc<StorageService>,
    pub(crate) objects: Objects,
    pub(crate) folder: TempDir,
}

impl Bed {
    pub(crate) async fn on_folder() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::Folder(folder.path().join("objects"));
        Self::on(folder, objects).await
    }

    pub(crate) async fn on_bucket() -> Self {
        let server = S3Server::start().await.unwrap();
        Self::on(tempfile::tempdir().unwrap(), Objects::Bucket(server)).await
    }

    async fn on(folder: TempDir, objects: Objects) -> Self {
        let clock = Arc::new(ManualClock::at(NOW_MS));
        let storage = storage(&folder, Region::Singapore, &clock).await;
        let attachments = objects.attach(&storage, &clock).await.unwrap();
        Self { attachments, clock, storage, objects, folder }
    }

    pub(crate) async fn begin(&self, bytes_max: u64) -> Result<Box<dyn AttachmentUpload>> {
        self.attachments.begin(BeginUpload { app: bytes_of(APP), bytes_max }).await
    }

    /// A file of the app, given in pieces of odd sizes.
    pub(crate) async fn upload(&self, content: &[u8]) -> Attachment {
        let mut upload = self.begin(BYTES_MAX).await.unwrap();
        for piece in content.chunks(70_001) {
            upload.append(Bytes::copy_from_slice(piece)).await.unwrap();
        }
        upload.finish(finish()).await.unwrap()
    }

    pub(crate) async fn head(&self, app: AppUuid, uuid: &Bytes) -> Result<Attachment> {
        self.attachments.head(AttachmentRequest { app: bytes_of(app), uuid: uuid.clone() }).await
    }

    pub(crate) async fn read(&self, uuid: &Bytes, offset: u64, length: u64) -> Result<Vec<u8>> {
        let request = ReadAttachmentRequest { app: bytes_of(APP), uuid: uuid.clone(), offset, length };
        let pieces: Vec<Bytes> = self.attachments.read(request).await?.try_collect().await?;
        Ok(pieces.concat())
    }

    /// Removes what is over.
    pub(crate) async fn expire(&self) -> Swept {
        let entropy = SeededEntropy::new(3);
        let (storage, attachments) = (self.storage.clone(), self.attachments.clone());
        RetentionService::new(storage, attachments, self.clock.clone(), &entropy).sweep().await.unwrap()
    }

    /// Every object but the mark, with its content, in the order of their names.
    pub(crate) fn objects(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        let mut folders = vec![self.objects.folder().join("attachments")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                match entry.path() {
                    path if path.is_dir() => folders.push(path),
                    path => found.push((path.clone(), std::fs::read(path).unwrap())),
                }
            }
        }
        found.sort();
        found
    }

    /// Waits until no object is left.
    pub(crate) async fn until_empty(&self) {
        let limit = Instant::now() + Duration::from_secs(10);
        while !self.objects().is_empty() {
            assert!(Instant::now() < limit, "objects stay: {}", self.objects().len());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Objects {
    pub(crate) fn place(&self) -> ObjectPlace {
        match self {
            Objects::Folder(folder) => ObjectPlace::Folder(folder.clone()),
            Objects::Bucket(server) => ObjectPlace::S3(S3Place {
                endpoint: server.endpoint(),
                bucket: S3Server::BUCKET.into(),
                signing_region: "us-east-1".into(),
                access_key: S3Server::ACCESS_KEY.into(),
                secret_key: Zeroizing::new(S3Server::SECRET_KEY.into()),
            }),
        }
    }

    pub(crate) fn folder(&self) -> PathBuf {
        match self {
            Objects::Folder(folder) => folder.clone(),
            Objects::Bucket(server) => server.bucket_folder(),
        }
    }

    pub(crate) async fn attach(
        &self,
        storage: &Arc<StorageService>,
        clock: &Arc<ManualClock>,
    ) -> Result<Arc<AttachmentService>> {
        let settings =
            AttachmentSettings { place: self.place(), retention_ms: Some(7 * DAY_MS), uploads_max: 3 };
        let entropy = Arc::new(SeededEntropy::new(2));
        AttachmentService::start(storage.clone(), clock.clone(), entropy, settings).await
    }
}

/// A storage service on a folder of its own.
pub(crate) async fn storage(
    folder: &TempDir,
    region: Region,
    clock: &Arc<ManualClock>,
) -> Arc<StorageService> {
    let engine = EmbeddedStore::open(&folder.path().join("rows"), region, clock.clone()).unwrap();
    let key = RegionKey::from_hex(&"a".repeat(64)).unwrap();
    StorageService::start(engine, region, key, clock.clone(), Arc::new(SeededEntropy::new(1))).await.unwrap()
}

pub(crate) fn finish() -> FinishUpload {
    FinishUpload {
        content_type: "image/png".into(),
        file_name: "a.png".into(),
        restricted: true,
        share_secret_hash: Bytes::from(vec![7; 32]),
        uploader: "alice".into(),
        ..FinishUpload::default()
    }
}

pub(crate) fn bytes_of(app: AppUuid) -> Bytes {
    Bytes::copy_from_slice(&app.0)
}

/// Content that no two places of a file share.
pub(crate) fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at.wrapping_mul(2_654_435_761) >> 7) as u8).collect()
}

pub(crate) fn kind<T>(outcome: Result<T>) -> Option<ErrorKind> {
    outcome.err().map(|error| error.kind())
}
