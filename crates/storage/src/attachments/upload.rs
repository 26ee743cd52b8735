//! Taking a file: chunks are sealed as they fill, segments written as they fill, the record last.

use std::sync::Arc;

use async_trait::async_trait;
use bulkhead_api::AttachmentUpload;
use bulkhead_model::{AppUuid, ErrorKind, Result};
use bulkhead_proto::attachments::{BeginUpload, FinishUpload};
use bulkhead_proto::records::Attachment;
use bulkhead_seal::{CHUNK_BYTES, ChunkIdentity, seal_chunk};
use bulkhead_store::Scope;
use bytes::{Bytes, BytesMut};
use tokio::sync::OwnedSemaphorePermit;

use super::{Attachments, FileId, SEGMENT_CHUNKS, owned, random_uuid};

/// Largest file, in bytes, whatever a caller allows (features.md §7.2: what the protocol can name).
const FILE_BYTES_MAX: u64 = 10 * 1024 * 1024 * 1024;

/// Longest name or content type, in bytes.
const TEXT_BYTES_MAX: usize = 255;

/// Bytes of a SHA-256.
const HASH_BYTES: usize = 32;

/// A file on its way in.
struct Upload {
    service: Arc<Attachments>,
    file: FileId,
    bytes_max: u64,
    /// Bytes taken so far.
    bytes: u64,
    /// The chunk that fills. It is sealed when a byte of the next one comes, since the last one is sealed as such.
    chunk: BytesMut,
    /// Number of the chunk that fills.
    number: u64,
    /// Sealed chunks of the segment that fills.
    segment: Vec<Bytes>,
    /// In which hour it will be looked at, if it is not finished.
    begin_hour: u64,
    /// Whether its objects may belong to a visible file, and so must stay when this is dropped.
    settled: bool,
    _place: OwnedSemaphorePermit,
}

impl Attachments {
    pub(super) async fn begin_upload(
        service: &Arc<Self>,
        request: BeginUpload,
    ) -> Result<Box<dyn AttachmentUpload>> {
        let app = AppUuid::from_slice(&request.app)?;
        let place = Arc::clone(&service.uploads).try_acquire_owned();
        let place = place.map_err(|_| ErrorKind::RateLimited.with("too many uploads at one time"))?;
        let file = FileId { app, uuid: random_uuid(&*service.entropy) };
        let begin_hour = service.note_begin(file).await?;
        Ok(Box::new(Upload {
            service: Arc::clone(service),
            file,
            bytes_max: request.bytes_max.min(FILE_BYTES_MAX),
            bytes: 0,
            chunk: BytesMut::new(),
            number: 0,
            segment: Vec::new(),
            begin_hour,
            settled: false,
            _place: place,
        }))
    }
}

#[async_trait]
impl AttachmentUpload for Upload {
    async fn append(&mut self, mut bytes: Bytes) -> Result<()> {
        self.bytes += bytes.len() as u64;
        if self.bytes > self.bytes_max {
            return Err(ErrorKind::TooLarge.with("the file is too large"));
        }
        while !bytes.is_empty() {
            if self.chunk.len() == CHUNK_BYTES {
                self.seal(false).await?;
            }
            let taken = bytes.split_to(bytes.len().min(CHUNK_BYTES - self.chunk.len()));
            self.chunk.extend_from_slice(&taken);
        }
        Ok(())
    }

    async fn finish(mut self: Box<Self>, request: FinishUpload) -> Result<Attachment> {
        check(&request)?;
        if self.bytes == 0 {
            return Err(ErrorKind::InvalidArgument.with("the file is empty"));
        }
        self.seal(true).await?;
        self.flush().await?;
        let service = Arc::clone(&self.service);
        let life_ms = service.life_ms(self.file.app).await?;
        let now_ms = service.clock.now_ms();
        let record = Attachment {
            uuid: owned(&self.file.uuid),
            bytes: self.bytes,
            content_type: request.content_type,
            file_name: request.file_name,
            restricted: request.restricted,
            share_secret_hash: request.share_secret_hash,
            uploader: request.uploader,
            created_ms: now_ms,
            expires_ms: now_ms + life_ms,
            thumbnail_width: request.thumbnail_width,
            thumbnail_height: request.thumbnail_height,
        };
        service.note_file(self.file, now_ms).await?;
        // From here on a failure may leave the record written; then the sweep decides.
        self.settled = true;
        service.write_record(self.file, &record).await?;
        if let Err(error) = service.forget_end(self.begin_hour, self.file).await {
            tracing::debug!(%error, "the beginning of an upload stays noted until the sweep");
        }
        metrics::counter!("bulkhead_storage_attachments_total").increment(1);
        metrics::counter!("bulkhead_storage_attachment_bytes_total").increment(record.bytes);
        Ok(record)
    }
}

impl Upload {
    /// Seals the chunk that has filled; a segment that has filled with it is written.
    async fn seal(&mut self, is_last: bool) -> Result<()> {
        let keyring = self.service.storage.keyring();
        let key = keyring.sealing(Scope::App(self.file.app), 1).await?;
        let identity = ChunkIdentity {
            region: self.service.storage.region().name(),
            app: &self.file.app.0,
            file: &self.file.uuid,
            number: self.number,
            is_last,
        };
        self.segment.push(seal_chunk(&key, &identity, keyring.nonce(), &self.chunk).into());
        self.chunk.clear();
        self.number += 1;
        if self.segment.len() as u64 == SEGMENT_CHUNKS {
            self.flush().await?;
        }
        Ok(())
    }

    /// Writes the segment that fills, if there is anything of it.
    async fn flush(&mut self) -> Result<()> {
        if self.segment.is_empty() {
            return Ok(());
        }
        let sealed = std::mem::take(&mut self.segment);
        self.service.objects.put(self.file, (self.number - 1) / SEGMENT_CHUNKS, sealed).await
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // Without a segment there is nothing to remove, and without a runtime nobody who could: then the sweep does.
        if self.settled || self.number == 0 {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (service, file, hour) = (Arc::clone(&self.service), self.file, self.begin_hour);
            runtime.spawn(async move {
                if service.objects.remove(file).await.is_ok() {
                    let _ = service.forget_end(hour, file).await;
                }
            });
        }
    }
}

fn check(request: &FinishUpload) -> Result<()> {
    let texts = [&request.content_type, &request.file_name, &request.uploader];
    if texts.iter().any(|text| text.len() > TEXT_BYTES_MAX) {
        return Err(ErrorKind::InvalidArgument.with("a name or type is too long"));
    }
    if request.share_secret_hash.len() != HASH_BYTES {
        return Err(ErrorKind::InvalidArgument.with("a share secret's hash has 32 bytes"));
    }
    Ok(())
}
