//! The rows of attachments: the record that makes a file visible, and when to look after its objects.

use bulkhead_model::{ErrorKind, Result};
use bulkhead_proto::records::Attachment;
use bulkhead_store::{Mutation, Put, RowKey, Scope, Store, tables};
use bytes::Bytes;
use prost::Message;

use super::{Attachments, FileId, owned};
use crate::StorageService;
use crate::retained::{Bucket, Kind};

const HOUR_MS: u64 = 60 * 60 * 1000;

/// An upload that is not finished after this time is over, in milliseconds. Far beyond the time that one may take.
const BROKEN_AFTER_MS: u64 = 2 * HOUR_MS;

/// For how long a file that has expired and was removed is known to have been, in milliseconds.
const REMEMBERED_MS: u64 = 30 * 24 * HOUR_MS;

/// Clustering key of the mark that outlives the record.
const WAS: &[u8] = b"was";

/// Why a file is to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It was begun: if there is no record now, it was never finished.
    Begun,
    /// It has expired, as its plan was when it was uploaded: the note of an earlier version.
    Expired,
}

impl End {
    fn value(self) -> Bytes {
        Bytes::from_static(match self {
            End::Begun => b"begun",
            End::Expired => b"expired",
        })
    }

    pub(super) fn read(value: &[u8]) -> Option<Self> {
        [End::Begun, End::Expired].into_iter().find(|end| end.value() == value)
    }
}

impl Attachments {
    /// The record of a file. `AttachmentNotFound`, `AttachmentExpired`.
    pub(super) async fn attachment(&self, file: FileId) -> Result<Attachment> {
        let keys = vec![record_key(file), was_key(file)];
        let mut rows = self.storage.get_many(keys).await?.into_iter();
        let (record, was) = (rows.next().flatten(), rows.next().flatten());
        let record = record.map(decode).transpose()?;
        match record {
            Some(mut record) => {
                // The plan in force decides, not the one of the upload.
                record.expires_ms = record.created_ms + self.life_ms(file.app).await?;
                if record.expires_ms > self.clock.now_ms() {
                    Ok(record)
                } else {
                    Err(ErrorKind::AttachmentExpired.into())
                }
            }
            None if was.is_some() => Err(ErrorKind::AttachmentExpired.into()),
            None => Err(ErrorKind::AttachmentNotFound.into()),
        }
    }

    /// Notes an upload that begins; answers the hour in which it will be looked at.
    pub(super) async fn note_begin(&self, file: FileId) -> Result<u64> {
        let hour = hour_of(self.clock.now_ms() + BROKEN_AFTER_MS) + 1;
        self.storage.write(vec![end_row(hour, file, End::Begun)]).await?;
        Ok(hour)
    }

    /// Notes a file that is about to be visible, for the sweep of what is over.
    pub(super) async fn note_file(&self, file: FileId, created_ms: u64) -> Result<()> {
        let bucket = Bucket::of(file.app, Kind::Attachments, created_ms, &file.uuid);
        self.storage.note_retained(bucket, owned(&file.uuid)).await
    }

    /// Makes a file visible.
    pub(super) async fn write_record(&self, file: FileId, record: &Attachment) -> Result<()> {
        let value = record.encode_to_vec().into();
        let put = Put { key: record_key(file), value, expires_in_ms: None };
        self.storage.write(vec![Mutation::Put(put)]).await
    }

    /// Removes the record of a file that has expired and leaves a mark for a while, in one step; answers whether there was
    /// one.
    pub(super) async fn expire_record(&self, file: FileId) -> Result<bool> {
        if self.storage.get(record_key(file)).await?.is_none() {
            return Ok(false);
        }
        let was = Put { key: was_key(file), value: Bytes::new(), expires_in_ms: Some(REMEMBERED_MS) };
        self.storage.write(vec![Mutation::Put(was), Mutation::Delete(record_key(file))]).await?;
        Ok(true)
    }

    /// A file is settled for that hour.
    pub(super) async fn forget_end(&self, hour: u64, file: FileId) -> Result<()> {
        self.storage.write(vec![Mutation::Delete(end_key(hour, file))]).await
    }

    /// Makes a file invisible, at once and without a trace.
    pub(super) async fn forget(&self, file: FileId) -> Result<()> {
        let rows = vec![Mutation::Delete(record_key(file)), Mutation::Delete(was_key(file))];
        self.storage.write(rows).await
    }
}

impl StorageService {
    /// Bytes of a file, as its record says; 0 when there is none.
    pub(crate) async fn attachment_bytes(&self, file: FileId) -> Result<u64> {
        let record = self.get(record_key(file)).await?.map(decode).transpose()?;
        Ok(record.map_or(0, |record| record.bytes))
    }
}

/// The hour since 1970 that an instant is in.
pub(super) fn hour_of(now_ms: u64) -> u64 {
    now_ms / HOUR_MS
}

/// Partition of the files to look at in an hour.
pub(super) fn hour_partition(hour: u64) -> Bytes {
    owned(&hour.to_be_bytes())
}

/// Reads a clustering key of `attachment_ends` back.
pub(super) fn file_of_end(clustering: &[u8]) -> Option<FileId> {
    let (app, uuid) = clustering.split_at_checked(16)?;
    FileId::read(app, uuid).ok()
}

fn decode(value: Bytes) -> Result<Attachment> {
    Attachment::decode(value).map_err(|_| ErrorKind::Internal.with("the record of an attachment is damaged"))
}

pub(super) fn record_key(file: FileId) -> RowKey {
    RowKey {
        table: &tables::ATTACHMENTS,
        scope: Scope::App(file.app),
        partition: owned(&file.uuid),
        clustering: Bytes::new(),
    }
}

fn was_key(file: FileId) -> RowKey {
    RowKey { clustering: Bytes::from_static(WAS), ..record_key(file) }
}

fn end_key(hour: u64, file: FileId) -> RowKey {
    RowKey {
        table: &tables::ATTACHMENT_ENDS,
        scope: Scope::Region,
        partition: hour_partition(hour),
        clustering: [file.app.0, file.uuid].concat().into(),
    }
}

fn end_row(hour: u64, file: FileId, end: End) -> Mutation {
    Mutation::Put(Put { key: end_key(hour, file), value: end.value(), expires_in_ms: None })
}
