use std::time::Duration;

use async_trait::async_trait;
use bulkhead_api::{AttachmentApi, AttachmentStream, AttachmentUpload};
use bulkhead_model::{Error, ErrorKind, Result};
use bulkhead_proto::attachments::upload_request::Step;
use bulkhead_proto::attachments::{
    AttachmentData, AttachmentRequest, BeginUpload, FinishUpload, ReadAttachmentRequest, UploadRequest,
    attachments_client,
};
use bulkhead_proto::records::Attachment;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::{MESSAGE_BYTES_MAX, PIECE_BYTES_MAX, PIECE_LIMIT};
use crate::guard::RegionChannel;
use crate::limits::CALL_LIMIT;
use crate::unary::answer;
use crate::{Peer, error_from_status};

/// Messages of one upload that wait for the connection.
const WAITING_MAX: usize = 2;

/// The attachments of a storage service in another process.
#[derive(Clone, Debug)]
pub struct AttachmentClient {
    grpc: attachments_client::AttachmentsClient<RegionChannel>,
}

impl AttachmentClient {
    /// The storage service at `peer`.
    pub fn new(peer: Peer) -> Self {
        let grpc = attachments_client::AttachmentsClient::new(peer.channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        Self { grpc }
    }
}

#[async_trait]
impl AttachmentApi for AttachmentClient {
    async fn begin(&self, request: BeginUpload) -> Result<Box<dyn AttachmentUpload>> {
        let (steps, waiting) = mpsc::channel(WAITING_MAX);
        let mut grpc = self.grpc.clone();
        let call = tokio::spawn(async move {
            let answered = grpc.upload(ReceiverStream::new(waiting)).await;
            answered.map(tonic::Response::into_inner).map_err(|status| error_from_status(&status))
        });
        let mut upload = Upload { steps, call };
        upload.send(Step::Begin(request)).await?;
        Ok(Box::new(upload))
    }

    async fn head(&self, request: AttachmentRequest) -> Result<Attachment> {
        answer(CALL_LIMIT, self.grpc.clone().head(request)).await
    }

    async fn read(&self, request: ReadAttachmentRequest) -> Result<AttachmentStream> {
        let pieces = answer(CALL_LIMIT, self.grpc.clone().read(request)).await?;
        Ok(stream::try_unfold(pieces, next_piece).boxed())
    }

    async fn delete(&self, request: AttachmentRequest) -> Result<()> {
        answer(CALL_LIMIT, self.grpc.clone().delete(request)).await?;
        Ok(())
    }
}

async fn next_piece(
    mut pieces: Streaming<AttachmentData>,
) -> Result<Option<(Bytes, Streaming<AttachmentData>)>> {
    match within(PIECE_LIMIT, pieces.message()).await? {
        Ok(Some(piece)) => Ok(Some((piece.data, pieces))),
        Ok(None) => Ok(None),
        Err(status) => Err(error_from_status(&status)),
    }
}

/// A file on its way to the storage service. When it is dropped unfinished its stream breaks, and the service drops what
/// it has of it.
struct Upload {
    steps: mpsc::Sender<UploadRequest>,
    call: JoinHandle<Result<Attachment>>,
}

impl Upload {
    async fn send(&mut self, step: Step) -> Result<()> {
        let sending = self.steps.send(UploadRequest { step: Some(step) });
        match within(PIECE_LIMIT, sending).await? {
            Ok(()) => Ok(()),
            // The service answers before the end of a file only to refuse it.
            Err(_) => Err(match self.outcome().await {
                Err(error) => error,
                Ok(_) => ErrorKind::Internal.with("an upload was answered before it was finished"),
            }),
        }
    }

    async fn outcome(&mut self) -> Result<Attachment> {
        match within(PIECE_LIMIT, &mut self.call).await? {
            Ok(outcome) => outcome,
            Err(_) => Err(ErrorKind::Internal.into()),
        }
    }
}

#[async_trait]
impl AttachmentUpload for Upload {
    async fn append(&mut self, mut bytes: Bytes) -> Result<()> {
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(PIECE_BYTES_MAX));
            self.send(Step::Data(piece)).await?;
        }
        Ok(())
    }

    async fn finish(mut self: Box<Self>, request: FinishUpload) -> Result<Attachment> {
        self.send(Step::Finish(request)).await?;
        self.outcome().await
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.call.abort();
    }
}

async fn within<T>(limit: Duration, call: impl Future<Output = T>) -> Result<T, Error> {
    tokio::time::timeout(limit, call).await.map_err(|_| ErrorKind::Timeout.into())
}
