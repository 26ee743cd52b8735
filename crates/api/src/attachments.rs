use async_trait::async_trait;
use bulkhead_model::Result;
use bulkhead_proto::attachments::{AttachmentRequest, BeginUpload, FinishUpload, ReadAttachmentRequest};
use bulkhead_proto::records::Attachment;
use bytes::Bytes;
use futures_util::stream::BoxStream;

/// The bytes of an attachment in order, in pieces of at most 64 KiB. An error ends it.
pub type AttachmentStream = BoxStream<'static, Result<Bytes>>;

/// Keeps the files that messages lead to, sealed (design: sealing and keys). Part of the storage service.
///
/// Who may read a file is not judged here: [`AttachmentApi::head`] says what the caller has to check.
///
/// Every method may answer `Unavailable` or `Timeout` when the service or its object store does not answer,
/// `InvalidArgument` for a request outside its documented bounds, and `Internal` for a file that does not open.
#[async_trait]
pub trait AttachmentApi: Send + Sync + 'static {
    /// Begins a file. `RateLimited` when too many are being taken at the moment.
    async fn begin(&self, request: BeginUpload) -> Result<Box<dyn AttachmentUpload>>;

    /// What is known of a file. `AttachmentNotFound`, `AttachmentExpired`.
    async fn head(&self, request: AttachmentRequest) -> Result<Attachment>;

    /// A range of a file. `AttachmentNotFound`, `AttachmentExpired`; `RateLimited` when too many are being read.
    async fn read(&self, request: ReadAttachmentRequest) -> Result<AttachmentStream>;

    /// Removes a file. One that is not there is no error.
    async fn delete(&self, request: AttachmentRequest) -> Result<()>;
}

/// A file on its way in. Nobody sees it before it is finished; when it is dropped before, nothing of it stays.
#[async_trait]
pub trait AttachmentUpload: Send {
    /// Takes the next bytes; answers when there is room for more. `TooLarge` beyond the size that was begun with. After an
    /// error the upload is over.
    async fn append(&mut self, bytes: Bytes) -> Result<()>;

    /// Makes the file durable and visible. `InvalidArgument` for a file without a byte.
    async fn finish(self: Box<Self>, request: FinishUpload) -> Result<Attachment>;
}
