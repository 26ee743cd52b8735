//! Serving a range of a file: only the chunks that it touches are fetched and opened.

use std::collections::VecDeque;
use std::sync::Arc;

use bulkhead_api::AttachmentStream;
use bulkhead_model::{Error, ErrorKind, Result};
use bulkhead_proto::attachments::ReadAttachmentRequest;
use bulkhead_seal::{CHUNK_BYTES, CHUNK_OVERHEAD_BYTES, ChunkIdentity, DataKey, key_version_of, open_chunk};
use bulkhead_store::Scope;
use bytes::{Buf, Bytes};
use futures_util::{StreamExt, stream};
use tokio::sync::OwnedSemaphorePermit;

use super::{Attachments, FileId, SEALED_CHUNK_BYTES, SEGMENT_CHUNKS, chunk_bytes, last_chunk};

/// Chunks that are fetched at one time: a mebibyte.
const WINDOW_CHUNKS: u64 = 16;

/// A range on its way out.
struct Range {
    service: Arc<Attachments>,
    file: FileId,
    /// Bytes of the whole file.
    file_bytes: u64,
    /// Number of the next chunk to fetch.
    next: u64,
    /// Bytes of it that come before the range.
    skip: usize,
    /// Bytes of the range that are still to come.
    left: u64,
    /// Opened and not yet handed out.
    ready: VecDeque<Bytes>,
    key: Option<Arc<DataKey>>,
    _place: OwnedSemaphorePermit,
}

impl Attachments {
    pub(super) async fn open_range(
        service: &Arc<Self>,
        request: ReadAttachmentRequest,
    ) -> Result<AttachmentStream> {
        let file = FileId::read(&request.app, &request.uuid)?;
        let file_bytes = service.attachment(file).await?.bytes;
        let within = request.offset.checked_add(request.length).is_some_and(|end| end <= file_bytes);
        if request.length == 0 || !within {
            return Err(ErrorKind::InvalidArgument.with("the range is not within the file"));
        }
        let place = Arc::clone(&service.reads).try_acquire_owned();
        let place = place.map_err(|_| ErrorKind::RateLimited.with("too many downloads at one time"))?;
        let range = Range {
            service: Arc::clone(service),
            file,
            file_bytes,
            next: request.offset / CHUNK_BYTES as u64,
            skip: (request.offset % CHUNK_BYTES as u64) as usize,
            left: request.length,
            ready: VecDeque::new(),
            key: None,
            _place: place,
        };
        Ok(stream::try_unfold(range, Range::piece).boxed())
    }
}

impl Range {
    /// The next piece and what comes after it.
    async fn piece(mut self) -> Result<Option<(Bytes, Self)>> {
        if self.left == 0 {
            return Ok(None);
        }
        if self.ready.is_empty() {
            self.fetch().await?;
        }
        let mut piece = self.ready.pop_front().ok_or_else(damaged)?;
        piece.advance(std::mem::take(&mut self.skip));
        piece.truncate(self.left.min(piece.len() as u64) as usize);
        self.left -= piece.len() as u64;
        Ok(Some((piece, self)))
    }

    /// Fetches and opens the next chunks of one segment.
    async fn fetch(&mut self) -> Result<()> {
        let wanted = (self.skip as u64 + self.left).div_ceil(CHUNK_BYTES as u64);
        let in_segment = SEGMENT_CHUNKS - self.next % SEGMENT_CHUNKS;
        let numbers = self.next..self.next + wanted.min(in_segment).min(WINDOW_CHUNKS);

        let start = (self.next % SEGMENT_CHUNKS) * SEALED_CHUNK_BYTES;
        let bytes: u64 = numbers.clone().map(|number| self.sealed_bytes(number)).sum();
        let segment = self.next / SEGMENT_CHUNKS;
        let mut sealed = self.service.objects.get(self.file, segment, start..start + bytes).await?;
        if sealed.len() as u64 != bytes {
            return Err(damaged());
        }
        for number in numbers {
            let chunk = sealed.split_to(self.sealed_bytes(number) as usize);
            let opened = self.open(number, &chunk).await?;
            self.ready.push_back(opened);
            self.next = number + 1;
        }
        Ok(())
    }

    async fn open(&mut self, number: u64, sealed: &[u8]) -> Result<Bytes> {
        let version = key_version_of(sealed).map_err(|_| damaged())?;
        let key = match &self.key {
            Some(key) if key.version() == version => key,
            _ => {
                let scope = Scope::App(self.file.app);
                self.key.insert(self.service.storage.keyring().opening(scope, version).await?)
            }
        };
        let identity = ChunkIdentity {
            region: self.service.storage.region().name(),
            app: &self.file.app.0,
            file: &self.file.uuid,
            number,
            is_last: number == last_chunk(self.file_bytes),
        };
        open_chunk(key, &identity, sealed).map(Bytes::from).map_err(|_| damaged())
    }

    fn sealed_bytes(&self, number: u64) -> u64 {
        chunk_bytes(self.file_bytes, number) + CHUNK_OVERHEAD_BYTES as u64
    }
}

/// Objects are missing, cut off or not what they were when they were sealed.
fn damaged() -> Error {
    metrics::counter!("bulkhead_storage_attachments_damaged_total").increment(1);
    ErrorKind::Internal.with("a stored attachment does not open")
}
