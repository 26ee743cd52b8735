use std::sync::Arc;

use async_trait::async_trait;
use bulkhead_api::{AttachmentApi, AttachmentStream, AttachmentUpload};
use bulkhead_model::{ErrorKind, Result};
use bulkhead_proto::attachments::{AttachmentRequest, BeginUpload, FinishUpload, ReadAttachmentRequest};
use bulkhead_proto::records::Attachment;
use bulkhead_rpc::{AttachmentClient, RpcServer};
use bulkhead_store::Store;
use bulkhead_store_embedded::EmbeddedStore;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::sync::mpsc;

use crate::support::{REGION, Serving};

/// One file in memory; what becomes of uploads is told to the test.
struct OneFile {
    content: Bytes,
    ends: mpsc::UnboundedSender<End>,
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    Finished(Vec<u8>),
    Dropped,
}

struct Upload {
    bytes_max: u64,
    content: Vec<u8>,
    ends: mpsc::UnboundedSender<End>,
    is_finished: bool,
}

#[async_trait]
impl AttachmentApi for OneFile {
    async fn begin(&self, request: BeginUpload) -> Result<Box<dyn AttachmentUpload>> {
        if request.bytes_max == 0 {
            return Err(ErrorKind::RateLimited.into());
        }
        let ends = self.ends.clone();
        Ok(Box::new(Upload { bytes_max: request.bytes_max, content: Vec::new(), ends, is_finished: false }))
    }

    async fn head(&self, request: AttachmentRequest) -> Result<Attachment> {
        match &*request.uuid {
            b"expired" => Err(ErrorKind::AttachmentExpired.into()),
            _ => Ok(Attachment {
                uuid: request.uuid,
                bytes: self.content.len() as u64,
                ..Attachment::default()
            }),
        }
    }

    async fn read(&self, request: ReadAttachmentRequest) -> Result<AttachmentStream> {
        let end = (request.offset + request.length) as usize;
        let broken = (end > self.content.len()).then(|| Err(ErrorKind::Internal.into()));
        let range = self.content.slice(request.offset as usize..end.min(self.content.len()));
        let pieces: Vec<Result<Bytes>> =
            range.chunks(64 * 1024).map(|piece| Ok(Bytes::copy_from_slice(piece))).chain(broken).collect();
        Ok(stream::iter(pieces).boxed())
    }

    async fn delete(&self, _: AttachmentRequest) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl AttachmentUpload for Upload {
    async fn append(&mut self, bytes: Bytes) -> Result<()> {
        self.content.extend_from_slice(&bytes);
        if self.content.len() as u64 > self.bytes_max {
            return Err(ErrorKind::TooLarge.into());
        }
        Ok(())
    }

    async fn finish(mut self: Box<Self>, request: FinishUpload) -> Result<Attachment> {
        self.is_finished = true;
        let bytes = self.content.len() as u64;
        let _ = self.ends.send(End::Finished(std::mem::take(&mut self.content)));
        Ok(Attachment { bytes, file_name: request.file_name, ..Attachment::default() })
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.is_finished {
            let _ = self.ends.send(End::Dropped);
        }
    }
}

struct Bed {
    client: AttachmentClient,
    ends: mpsc::UnboundedReceiver<End>,
    content: Bytes,
    serving: Serving,
    _folder: tempfile::TempDir,
}

async fn bed() -> Bed {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(bulkhead_model::ManualClock::at(1_700_000_000_000));
    let engine: Arc<dyn Store> = EmbeddedStore::open(folder.path(), REGION, clock).unwrap();
    let content = Bytes::from((0..3_000_000u32).map(|at| at.wrapping_mul(31) as u8).collect::<Vec<_>>());
    let (sender, ends) = mpsc::unbounded_channel();
    let api = Arc::new(OneFile { content: content.clone(), ends: sender });
    let serving = Serving::start(|stop| RpcServer::storage(REGION, engine, stop).with_attachments(api)).await;
    let client = AttachmentClient::new(serving.peer(REGION));
    Bed { client, ends, content, serving, _folder: folder }
}

fn begin(bytes_max: u64) -> BeginUpload {
    BeginUpload { app: Bytes::new(), bytes_max }
}

fn named(uuid: &'static [u8]) -> AttachmentRequest {
    AttachmentRequest { app: Bytes::new(), uuid: Bytes::from_static(uuid) }
}

#[tokio::test]
async fn a_file_goes_up_and_comes_down_as_it_was() {
    let mut bed = bed().await;
    let mut upload = bed.client.begin(begin(u64::MAX)).await.unwrap();
    for piece in bed.content.chunks(700_001) {
        upload.append(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    let finish = FinishUpload { file_name: "a.png".into(), ..FinishUpload::default() };
    let made = upload.finish(finish).await.unwrap();
    assert_eq!((made.bytes, &*made.file_name), (3_000_000, "a.png"));
    assert_eq!(bed.ends.recv().await, Some(End::Finished(bed.content.to_vec())));

    let request = ReadAttachmentRequest { offset: 5, length: 2_000_000, ..ReadAttachmentRequest::default() };
    let pieces: Vec<Bytes> = bed.client.read(request).await.unwrap().try_collect().await.unwrap();
    assert!(pieces.concat() == bed.content[5..2_000_005]);
    assert_eq!(bed.client.head(named(b"any")).await.unwrap().bytes, 3_000_000);
    bed.client.delete(named(b"any")).await.unwrap();
    bed.serving.stop().await;
}

#[tokio::test]
async fn errors_keep_their_kind_wherever_they_come() {
    let bed = bed().await;
    let head = bed.client.head(named(b"expired")).await.unwrap_err();
    assert_eq!(head.kind(), ErrorKind::AttachmentExpired);

    let request = ReadAttachmentRequest { length: 4_000_000, ..ReadAttachmentRequest::default() };
    let read: Result<Vec<Bytes>> = bed.client.read(request).await.unwrap().try_collect().await;
    assert_eq!(read.unwrap_err().kind(), ErrorKind::Internal, "behind the bytes that there are");

    let refused = bed.client.begin(begin(0)).await.unwrap();
    assert_eq!(refused.finish(FinishUpload::default()).await.unwrap_err().kind(), ErrorKind::RateLimited);

    let mut over = bed.client.begin(begin(1_000_000)).await.unwrap();
    let mut outcome = Ok(());
    for _ in 0..100 {
        outcome = over.append(Bytes::from(vec![0; 1_000_000])).await;
        if outcome.is_err() {
            break;
        }
    }
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::TooLarge, "before the file was at its end");
    bed.serving.stop().await;
}

#[tokio::test]
async fn an_upload_that_is_dropped_is_dropped_at_the_other_end_too() {
    let mut bed = bed().await;
    let mut upload = bed.client.begin(begin(u64::MAX)).await.unwrap();
    upload.append(Bytes::from(vec![0; 2_000_000])).await.unwrap();
    drop(upload);
    assert_eq!(bed.ends.recv().await, Some(End::Dropped));
    bed.serving.stop().await;
}
