//! Fetching a range of a file from storage, window by window.
//!
//! Each window is taken whole before the next one is asked for, when the client has taken this one. So a client that does
//! not read holds one window here, and nothing of the connection to storage that others need.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bulkhead_model::{Error, ErrorKind, Result};
use bulkhead_proto::attachments::ReadAttachmentRequest;
use bytes::Bytes;
use futures_util::{TryStreamExt, stream};
use tokio::sync::mpsc;

use super::call::Call;
use super::transfers::TransferPlace;
use crate::Gateway;

/// Bytes of a window.
const WINDOW_BYTES: u64 = 256 * 1024;

/// A range on its way to a client.
pub(super) struct Transfer {
    _place: TransferPlace,
    gateway: Arc<Gateway>,
    app: Bytes,
    uuid: Bytes,
    /// Where the next window begins.
    offset: u64,
    /// Bytes that were not asked for yet.
    left: u64,
    ready: VecDeque<Bytes>,
}

impl Transfer {
    /// A range that lies within the file. `RateLimited` when there are too many transfers already.
    pub(super) fn new(call: &Call, uuid: Bytes, offset: u64, length: u64) -> Result<Self> {
        Ok(Self {
            _place: call.gateway.transfers.enter(call.app_uuid)?,
            gateway: Arc::clone(&call.gateway),
            app: call.app_bytes(),
            uuid,
            offset,
            left: length,
            ready: VecDeque::new(),
        })
    }

    /// The range as the body of an answer. The first window is fetched before the answer begins, so that what fails then
    /// is answered as an error; what fails later breaks the connection.
    pub(super) async fn into_body(mut self) -> Result<Body> {
        let length = self.left;
        self.fetch().await?;
        let (pieces, taken) = mpsc::channel(1);
        tokio::spawn(self.run(pieces));
        let pieces = stream::try_unfold((taken, length), |(mut taken, left)| async move {
            match taken.recv().await {
                Some(piece) => {
                    let left = left - piece.len() as u64;
                    Ok(Some((piece, (taken, left))))
                }
                None if left > 0 => Err(Error::from(ErrorKind::Unavailable)),
                None => Ok(None),
            }
        });
        Ok(Body::from_stream(pieces))
    }

    /// The whole range in memory.
    pub(super) async fn collect(mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(self.left as usize);
        while self.left > 0 {
            self.fetch().await?;
            self.ready.drain(..).for_each(|piece| bytes.extend_from_slice(&piece));
        }
        Ok(bytes)
    }

    /// Hands everything over, as fast as the client takes it and not longer than a transfer may take.
    async fn run(mut self, pieces: mpsc::Sender<Bytes>) {
        let limit = Duration::from_millis(self.gateway.settings.transfer_limit_ms);
        match tokio::time::timeout(limit, self.send(pieces)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "a download ends early"),
            Err(_) => tracing::debug!("a download takes too long and is ended"),
        }
    }

    /// Ends without an error too when the client goes away.
    async fn send(&mut self, pieces: mpsc::Sender<Bytes>) -> Result<()> {
        loop {
            while let Some(piece) = self.ready.pop_front() {
                if pieces.send(piece).await.is_err() {
                    return Ok(());
                }
            }
            if self.left == 0 {
                return Ok(());
            }
            self.fetch().await?;
        }
    }

    async fn fetch(&mut self) -> Result<()> {
        let length = self.left.min(WINDOW_BYTES);
        let request = ReadAttachmentRequest {
            app: self.app.clone(),
            uuid: self.uuid.clone(),
            offset: self.offset,
            length,
        };
        let pieces: VecDeque<Bytes> = self.gateway.attachments.read(request).await?.try_collect().await?;
        if pieces.iter().map(|piece| piece.len() as u64).sum::<u64>() != length {
            return Err(ErrorKind::Internal.with("storage answered another length than it was asked for"));
        }
        self.ready = pieces;
        self.offset += length;
        self.left -= length;
        Ok(())
    }
}
