//! Attachments: files in an object store, sealed chunk by chunk, with a row each that makes them visible.
//!
//! A file is cut into chunks (`bulkhead_seal::CHUNK_BYTES`), each sealed for its place in its file, and chunks are put
//! together into *segments*, which are the objects. An object is written whole or not at all, so no multipart upload can
//! be left open in an S3 store, and an upload holds one segment in memory. The row is written last: before it the file is
//! nowhere, and an upload that breaks leaves nothing that anybody can name.
//!
//! What has to go is found without listing the object store: `attachment_ends` says by the hour which uploads to look at
//! (`sweep.rs`), `retained` by the half day which files an app has (`expire.rs`).

mod bucket;
mod expire;
mod objects;
mod read;
mod rows;
mod settings;
mod sweep;
mod upload;

use std::sync::Arc;

use async_trait::async_trait;
use bulkhead_api::{AttachmentApi, AttachmentStream, AttachmentUpload};
use bulkhead_model::{AppUuid, Clock, Entropy, ErrorKind, Result};
use bulkhead_proto::attachments::{AttachmentRequest, BeginUpload, ReadAttachmentRequest};
use bulkhead_proto::records::Attachment;
use bulkhead_seal::{CHUNK_BYTES, CHUNK_OVERHEAD_BYTES};
use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use self::objects::Objects;
pub use self::settings::{AttachmentSettings, ObjectPlace, S3Place};
use crate::StorageService;

/// Chunks of one segment: 4 MiB of a file.
const SEGMENT_CHUNKS: u64 = 64;

/// Bytes of a chunk when it is sealed; only the last chunk of a file may be shorter.
const SEALED_CHUNK_BYTES: u64 = (CHUNK_BYTES + CHUNK_OVERHEAD_BYTES) as u64;

/// Files that may be read at one time; each holds at most a mebibyte and the pieces on their way.
const READS_MAX: usize = 512;

/// Which file of which app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId {
    app: AppUuid,
    uuid: [u8; 16],
}

impl FileId {
    pub(crate) fn read(app: &[u8], uuid: &[u8]) -> Result<Self> {
        let wrong = |_| ErrorKind::InvalidArgument.with("an attachment is named by 16 bytes");
        Ok(Self { app: AppUuid::from_slice(app)?, uuid: uuid.try_into().map_err(wrong)? })
    }
}

/// The attachments of a region.
pub struct AttachmentService {
    attachments: Arc<Attachments>,
}

/// What uploads and reads in progress share with their service.
pub(crate) struct Attachments {
    storage: Arc<StorageService>,
    objects: Objects,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    /// Milliseconds that a file is kept, if the app's plan does not keep messages for less.
    retention_ms: Option<u64>,
    uploads: Arc<Semaphore>,
    reads: Arc<Semaphore>,
}

impl AttachmentService {
    /// Starts on an object store. `InvalidArgument` when the store belongs to another region or to another format, or
    /// its settings make no sense; `Unavailable` when it does not answer.
    pub async fn start(
        storage: Arc<StorageService>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        settings: AttachmentSettings,
    ) -> Result<Arc<Self>> {
        let objects = Objects::open(&settings.place, storage.region()).await?;
        let attachments = Attachments {
            storage,
            objects,
            clock,
            entropy,
            retention_ms: settings.retention_ms,
            uploads: Arc::new(Semaphore::new(settings.uploads_max)),
            reads: Arc::new(Semaphore::new(READS_MAX)),
        };
        attachments.begin_sweeping().await?;
        Ok(Arc::new(Self { attachments: Arc::new(attachments) }))
    }

    /// Looks after uploads that broke off, from time to time until told to stop.
    pub async fn run_sweeps(self: Arc<Self>, stop: CancellationToken) {
        self.attachments.run_sweeps(stop).await;
    }

    /// What the sweep of files that are over works with.
    pub(crate) fn files(&self) -> &Arc<Attachments> {
        &self.attachments
    }

    /// Looks at the uploads whose hour has passed, a bounded number of them; answers of how many the objects were removed.
    pub async fn sweep(&self) -> Result<usize> {
        self.attachments.sweep().await
    }
}

#[async_trait]
impl AttachmentApi for AttachmentService {
    async fn begin(&self, request: BeginUpload) -> Result<Box<dyn AttachmentUpload>> {
        Attachments::begin_upload(&self.attachments, request).await
    }

    async fn head(&self, request: AttachmentRequest) -> Result<Attachment> {
        self.attachments.attachment(FileId::read(&request.app, &request.uuid)?).await
    }

    async fn read(&self, request: ReadAttachmentRequest) -> Result<AttachmentStream> {
        Attachments::open_range(&self.attachments, request).await
    }

    async fn delete(&self, request: AttachmentRequest) -> Result<()> {
        let file = FileId::read(&request.app, &request.uuid)?;
        self.attachments.forget(file).await?;
        self.attachments.objects.remove(file).await
    }
}

/// How many bytes the chunk of that number has before it is sealed, in a file of `bytes`.
fn chunk_bytes(bytes: u64, number: u64) -> u64 {
    bytes.saturating_sub(number * CHUNK_BYTES as u64).min(CHUNK_BYTES as u64)
}

/// The number of a file's last chunk; the file has at least one byte.
fn last_chunk(bytes: u64) -> u64 {
    (bytes - 1) / CHUNK_BYTES as u64
}

/// A random (version 4) UUID.
fn random_uuid(entropy: &dyn Entropy) -> [u8; 16] {
    let mut uuid = [0; 16];
    entropy.fill(&mut uuid);
    uuid[6] = uuid[6] & 0x0F | 0x40;
    uuid[8] = uuid[8] & 0x3F | 0x80;
    uuid
}

fn owned(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}
