use std::sync::Arc;

use async_trait::async_trait;
use bulkhead_api::AttachmentApi;
use bulkhead_model::{Error, ErrorKind, Result};
use bulkhead_proto::attachments::upload_request::Step;
use bulkhead_proto::attachments::{
    AttachmentData, AttachmentRequest, Done, ReadAttachmentRequest, UploadRequest, attachments_server,
};
use bulkhead_proto::records::Attachment;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tonic::{Request, Response, Status, Streaming};

use super::{MESSAGE_BYTES_MAX, UPLOAD_LIMIT};
use crate::{error_from_status, status_from_error};

/// The gRPC server of attachments: any [`AttachmentApi`] behind it.
pub struct AttachmentServer {
    api: Arc<dyn AttachmentApi>,
}

impl AttachmentServer {
    /// Wraps `api` for [`crate::RpcServer`].
    pub(crate) fn service(api: Arc<dyn AttachmentApi>) -> attachments_server::AttachmentsServer<Self> {
        attachments_server::AttachmentsServer::new(Self { api })
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    async fn take(&self, mut steps: Streaming<UploadRequest>) -> Result<Attachment> {
        let Some(Step::Begin(begin)) = next_step(&mut steps).await? else { return Err(out_of_order()) };
        let mut upload = self.api.begin(begin).await?;
        loop {
            match next_step(&mut steps).await? {
                Some(Step::Data(bytes)) => upload.append(bytes).await?,
                Some(Step::Finish(finish)) => return upload.finish(finish).await,
                // Dropping the upload removes what was taken.
                Some(Step::Begin(_)) | None => return Err(out_of_order()),
            }
        }
    }
}

#[async_trait]
impl attachments_server::Attachments for AttachmentServer {
    async fn upload(
        &self,
        request: Request<Streaming<UploadRequest>>,
    ) -> Result<Response<Attachment>, Status> {
        let taken = tokio::time::timeout(UPLOAD_LIMIT, self.take(request.into_inner())).await;
        let taken = taken.unwrap_or_else(|_| Err(ErrorKind::Timeout.into()));
        taken.map(Response::new).map_err(refused)
    }

    async fn head(&self, request: Request<AttachmentRequest>) -> Result<Response<Attachment>, Status> {
        self.api.head(request.into_inner()).await.map(Response::new).map_err(refused)
    }

    type ReadStream = BoxStream<'static, Result<AttachmentData, Status>>;

    async fn read(
        &self,
        request: Request<ReadAttachmentRequest>,
    ) -> Result<Response<Self::ReadStream>, Status> {
        let pieces = self.api.read(request.into_inner()).await.map_err(refused)?;
        let pieces = pieces.map(|piece| piece.map(|data| AttachmentData { data }).map_err(refused));
        Ok(Response::new(pieces.boxed()))
    }

    async fn delete(&self, request: Request<AttachmentRequest>) -> Result<Response<Done>, Status> {
        self.api.delete(request.into_inner()).await.map_err(refused)?;
        Ok(Response::new(Done {}))
    }
}

async fn next_step(steps: &mut Streaming<UploadRequest>) -> Result<Option<Step>> {
    let request = steps.message().await.map_err(|status| error_from_status(&status))?;
    Ok(request.and_then(|request| request.step))
}

fn out_of_order() -> Error {
    ErrorKind::InvalidArgument.with("an upload is one beginning, its bytes, and one end")
}

fn refused(error: Error) -> Status {
    status_from_error(&error)
}
