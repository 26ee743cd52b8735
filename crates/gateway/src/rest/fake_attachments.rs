//! Attachments in memory for the tests of this module.

use std::sync::Arc;

use async_trait::async_trait;
use bulkhead_api::{AttachmentApi, AttachmentStream, AttachmentUpload};
use bulkhead_model::{ErrorKind, Result};
use bulkhead_proto::attachments::{AttachmentRequest, BeginUpload, FinishUpload, ReadAttachmentRequest};
use bulkhead_proto::records::Attachment;
use bytes::Bytes;
use futures_util::StreamExt;
use parking_lot::Mutex;

/// Attachments in memory. A file whose content is "damaged" cannot be read.
#[derive(Default)]
pub(super) struct FakeAttachments {
    files: Arc<Mutex<Vec<(Attachment, Bytes)>>>,
    /// How many uploads were given up.
    pub(super) dropped: Arc<Mutex<usize>>,
    /// The largest piece that an upload was given, in bytes.
    pub(super) largest_piece: Arc<Mutex<usize>>,
}

struct FakeUpload {
    files: Arc<Mutex<Vec<(Attachment, Bytes)>>>,
    dropped: Arc<Mutex<usize>>,
    largest_piece: Arc<Mutex<usize>>,
    content: Vec<u8>,
    is_finished: bool,
}

impl FakeAttachments {
    fn find(&self, uuid: &Bytes) -> Result<(Attachment, Bytes)> {
        let found = self.files.lock().iter().find(|(file, _)| file.uuid == *uuid).cloned();
        let (attachment, content) = found.ok_or(ErrorKind::AttachmentNotFound)?;
        match &*content {
            b"expired" => Err(ErrorKind::AttachmentExpired.into()),
            _ => Ok((attachment, content)),
        }
    }

    /// What was kept of the file that came last.
    pub(super) fn last(&self) -> Attachment {
        self.files.lock().last().expect("a file was uploaded").0.clone()
    }
}

#[async_trait]
impl AttachmentApi for FakeAttachments {
    async fn begin(&self, _: BeginUpload) -> Result<Box<dyn AttachmentUpload>> {
        Ok(Box::new(FakeUpload {
            files: Arc::clone(&self.files),
            dropped: Arc::clone(&self.dropped),
            largest_piece: Arc::clone(&self.largest_piece),
            content: Vec::new(),
            is_finished: false,
        }))
    }
    async fn head(&self, request: AttachmentRequest) -> Result<Attachment> {
        self.find(&request.uuid).map(|(attachment, _)| attachment)
    }
    async fn read(&self, request: ReadAttachmentRequest) -> Result<AttachmentStream> {
        let (_, content) = self.find(&request.uuid)?;
        if &*content == b"damaged" {
            return Err(ErrorKind::Internal.into());
        }
        let range = request.offset as usize..(request.offset + request.length) as usize;
        let pieces: Vec<_> =
            content.slice(range).chunks(1000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        Ok(futures_util::stream::iter(pieces).boxed())
    }
    async fn delete(&self, _: AttachmentRequest) -> Result<()> {
        Err(ErrorKind::Unimplemented.into())
    }
}

#[async_trait]
impl AttachmentUpload for FakeUpload {
    async fn append(&mut self, bytes: Bytes) -> Result<()> {
        let mut largest = self.largest_piece.lock();
        *largest = bytes.len().max(*largest);
        self.content.extend_from_slice(&bytes);
        Ok(())
    }
    async fn finish(mut self: Box<Self>, request: FinishUpload) -> Result<Attachment> {
        self.is_finished = true;
        let mut files = self.files.lock();
        let attachment = Attachment {
            uuid: Bytes::from(vec![files.len() as u8 + 1; 16]),
            bytes: self.content.len() as u64,
            content_type: request.content_type,
            file_name: request.file_name,
            restricted: request.restricted,
            share_secret_hash: request.share_secret_hash,
            uploader: request.uploader,
            thumbnail_width: request.thumbnail_width,
            thumbnail_height: request.thumbnail_height,
            ..Attachment::default()
        };
        files.push((attachment.clone(), std::mem::take(&mut self.content).into()));
        Ok(attachment)
    }
}

impl Drop for FakeUpload {
    fn drop(&mut self) {
        if !self.is_finished {
            *self.dropped.lock() += 1;
        }
    }
}
