//! The rows of attachments: the record that makes a file visible, and when to look after its objects.

use bulkhead_model::{ErrorKind, Result};
use bulkhead_proto::records::Attachment;
use bulkhead_store::{Mutation, Put, RowKey, Scope, Store, tables};
use bytes::Bytes;
use prost::Message;

use super::{Attachments, FileId, owned};

const HOUR_MS: u64 = 60 * 60 * 1000;

/// An upload that is not finished after this time is over, in milliseconds. Far beyond the time that one may take.
const BROKEN_AFTER_MS: u64 = 2 * HOUR_MS;

/// For how long a file that has expired is known to have been, in milliseconds.
const REMEMBERED_MS: u64 = 30 * 24 * HOUR_MS;

/// Clustering key of the mark that outlives the record.
const WAS: &[u8] = b"was";

/// Why a file is to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It was begun: if there is no record now, it was never finished.
    Begun,
    /// It has expired.
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
            Some(record) if record.expires_ms > self.clock.now_ms() => Ok(record),
            Some(_) => Err(ErrorKind::AttachmentExpired.into()),
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

    /// Notes when a file that is about to be visible will expire.
    pub(super) async fn note_expiry(&self, file: FileId, expires_ms: u64) -> Result<()> {
        self.storage.write(vec![end_row(hour_of(expires_ms) + 1, file, End::Expired)]).await
    }

    /// Makes a file visible for as long as it lives.
    pub(super) async fn write_record(&self, file: FileId, record: &Attachment, life_ms: u64) -> Result<()> {
        let put = |key, value, life_ms| Mutation::Put(Put { key, value, expires_in_ms: Some(life_ms) });
        let rows = vec![
            put(was_key(file), Bytes::new(), life_ms + REMEMBERED_MS),
            put(record_key(file), record.encode_to_vec().into(), life_ms),
        ];
        self.storage.write(rows).await
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
