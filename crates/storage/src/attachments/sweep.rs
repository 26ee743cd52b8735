//! Removing the objects of uploads that broke off with the process that took them.
//!
//! A note in `attachment_ends` leads here: it is made when an upload begins and removed when it is finished. So whatever a
//! crash leaves behind is noted, and nobody has to list the object store. Several storage processes may sweep; what one has
//! settled the others do not find.

use std::time::Duration;

use bulkhead_model::{Error, ErrorKind, Result};
use bulkhead_store::{Mutation, Put, RowKey, Scan, Scope, Store, tables};
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::rows::{End, file_of_end, hour_of, hour_partition};
use super::{Attachments, FileId, owned};

/// Pause between two sweeps.
const PAUSE: Duration = Duration::from_secs(60);

/// Files that one sweep looks at.
const FILES_MAX: usize = 500;

/// Hours that one sweep goes through; a region that was down for weeks catches up over several.
const HOURS_MAX: u64 = 200;

/// Partition of the row that says which hour is to be swept next.
const SWEPT: &[u8] = b"swept";

impl Attachments {
    pub(super) async fn run_sweeps(&self, stop: CancellationToken) {
        loop {
            if let Some(Err(error)) = stop.run_until_cancelled(self.sweep()).await {
                tracing::warn!(%error, "broken uploads could not be removed; the next sweep tries again");
            }
            if stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_none() {
                return;
            }
        }
    }

    pub(super) async fn sweep(&self) -> Result<usize> {
        let now_hour = hour_of(self.clock.now_ms());
        let begin = self.next_hour().await?;
        let (mut hour, mut seen, mut removed) = (begin, 0, 0);
        while hour < now_hour.min(begin + HOURS_MAX) {
            let ends = self.storage.scan(ends_of(hour, FILES_MAX - seen)).await?;
            let is_whole = ends.len() < FILES_MAX - seen;
            seen += ends.len();
            let mut is_settled = is_whole;
            for row in ends {
                let (Some(file), Some(end)) = (file_of_end(&row.clustering), End::read(&row.value)) else {
                    return Err(ErrorKind::Internal.with("a note of an attachment's end is damaged"));
                };
                match self.settle(hour, file, end).await {
                    Ok(Settled::Removed) => removed += 1,
                    Ok(Settled::Alive) => {}
                    Err(error) => {
                        tracing::warn!(%error, "an attachment could not be looked after");
                        is_settled = false;
                    }
                }
            }
            if !is_settled {
                break;
            }
            hour += 1;
        }
        if hour > begin {
            let row = Put { key: swept_key(), value: owned(&hour.to_be_bytes()), expires_in_ms: None };
            self.storage.write(vec![Mutation::Put(row)]).await?;
        }
        metrics::counter!("bulkhead_storage_attachments_removed_total").increment(removed as u64);
        Ok(removed)
    }

    /// In a new region the sweeps begin now.
    pub(super) async fn begin_sweeping(&self) -> Result<()> {
        let hour = hour_of(self.clock.now_ms());
        let row = Put { key: swept_key(), value: owned(&hour.to_be_bytes()), expires_in_ms: None };
        self.storage.insert_if_absent(row).await.map(drop)
    }

    async fn settle(&self, hour: u64, file: FileId, end: End) -> Result<Settled> {
        let record = match self.attachment(file).await {
            Ok(record) => Some(record),
            Err(error) if is_gone(&error) => None,
            Err(error) => return Err(error),
        };
        let settled = match (end, record) {
            (End::Begun, Some(_)) => Settled::Alive,
            (End::Expired, Some(record)) => {
                // The plan was another one then. The sweep of what is over looks for it from now on.
                self.note_file(file, record.created_ms).await?;
                Settled::Alive
            }
            (_, None) => {
                self.objects.remove(file).await?;
                Settled::Removed
            }
        };
        self.forget_end(hour, file).await?;
        Ok(settled)
    }

    async fn next_hour(&self) -> Result<u64> {
        let value = self.storage.get(swept_key()).await?;
        let hour = value.and_then(|value| <[u8; 8]>::try_from(&*value).ok()).map(u64::from_be_bytes);
        hour.ok_or_else(|| ErrorKind::Internal.with("how far attachments were swept is not known"))
    }
}

/// How a file was found.
enum Settled {
    /// Its objects had to go and went.
    Removed,
    /// It is visible, and noted elsewhere.
    Alive,
}

/// No file, or one that has expired.
fn is_gone(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::AttachmentNotFound | ErrorKind::AttachmentExpired)
}

fn ends_of(hour: u64, limit: usize) -> Scan {
    Scan {
        table: &tables::ATTACHMENT_ENDS,
        scope: Scope::Region,
        partition: hour_partition(hour),
        from: Bytes::new(),
        to: Bytes::new(),
        descending: false,
        limit,
    }
}

fn swept_key() -> RowKey {
    RowKey {
        table: &tables::ATTACHMENT_ENDS,
        scope: Scope::Region,
        partition: Bytes::from_static(SWEPT),
        clustering: Bytes::new(),
    }
}
