//! The names of the router's rows. A key is built once, as one buffer, and the parts of the row's name are slices of it.

use bulkhead_model::{AppUuid, slot_of};
use bulkhead_proto::records::MessageKind;
use bulkhead_store::{RowKey, Scope, Table, tables};
use bytes::{BufMut, Bytes, BytesMut};

const APP_BYTES: usize = 16;

/// How one user stands to one channel: a row of `conversations`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StandingKey {
    bytes: Bytes,
    user_end: usize,
}

impl StandingKey {
    pub(crate) fn new(app: AppUuid, user: &str, channel_key: &[u8]) -> Self {
        let bytes = join(app, &[user.as_bytes(), channel_key]);
        Self { bytes, user_end: APP_BYTES + user.len() }
    }

    pub(crate) fn row(&self) -> RowKey {
        split(&tables::CONVERSATIONS, &self.bytes, self.user_end)
    }

    pub(crate) fn slot(&self) -> u16 {
        slot_in(&self.bytes, self.user_end)
    }

    pub(crate) fn is_of(&self, app: AppUuid, user: &str) -> bool {
        is_of(&self.bytes, self.user_end, app, user)
    }
}

/// How far one device has taken one channel: a row of `devices`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CursorKey {
    bytes: Bytes,
    user_end: usize,
    device_end: usize,
}

impl CursorKey {
    pub(crate) fn new(app: AppUuid, user: &str, device: &str, channel_key: &[u8]) -> Self {
        let bytes = join(app, &[user.as_bytes(), device.as_bytes(), channel_key]);
        let user_end = APP_BYTES + user.len();
        Self { bytes, user_end, device_end: user_end + 1 + device.len() }
    }

    pub(crate) fn row(&self) -> RowKey {
        split(&tables::DEVICES, &self.bytes, self.user_end)
    }

    pub(crate) fn slot(&self) -> u16 {
        slot_in(&self.bytes, self.device_end)
    }

    /// The row of the device itself.
    pub(crate) fn device_row(&self) -> RowKey {
        split(&tables::DEVICES, &self.bytes.slice(..self.device_end), self.user_end)
    }

    pub(crate) fn is_of(&self, app: AppUuid, user: &str) -> bool {
        is_of(&self.bytes, self.user_end, app, user)
    }
}

/// A device that sends: a partition of `dedup`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SenderKey {
    bytes: Bytes,
    user_end: usize,
}

impl SenderKey {
    pub(crate) fn new(app: AppUuid, user: &str, device: &str) -> Self {
        let bytes = join(app, &[user.as_bytes(), device.as_bytes()]);
        Self { bytes, user_end: APP_BYTES + user.len() }
    }

    pub(crate) fn scope(&self) -> Scope {
        scope_of(&self.bytes)
    }

    pub(crate) fn partition(&self) -> Bytes {
        self.bytes.slice(APP_BYTES..)
    }

    pub(crate) fn row(&self, client_id: ClientId) -> RowKey {
        RowKey {
            table: &tables::DEDUP,
            scope: self.scope(),
            partition: self.partition(),
            clustering: client_id.to_bytes(),
        }
    }

    pub(crate) fn is_of(&self, app: AppUuid, user: &str) -> bool {
        is_of(&self.bytes, self.user_end, app, user)
    }
}

/// What a resend repeats: the id that the client made, and what kind of message it stands for.
///
/// The kind belongs to it because the web SDK makes ids of the current millisecond plus a count, with one count for
/// texts and another one for recalls: a recall within milliseconds of its text can bear the id of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ClientId {
    number: u64,
    kind: u8,
}

impl ClientId {
    pub(crate) fn new(number: u64, kind: MessageKind) -> Self {
        let kind = u8::try_from(i32::from(kind)).unwrap_or(u8::MAX);
        Self { number, kind }
    }

    /// In the order of the ids.
    fn to_bytes(self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(9);
        bytes.put_u64(self.number);
        bytes.put_u8(self.kind);
        bytes.freeze()
    }

    /// Reads the clustering key of a `dedup` row.
    pub(crate) fn of_row(clustering: &[u8]) -> Option<Self> {
        let (number, kind) = clustering.split_first_chunk()?;
        let &[kind] = kind else { return None };
        Some(Self { number: u64::from_be_bytes(*number), kind })
    }
}

/// A message in the log of its channel.
pub(crate) fn message_row(app: AppUuid, channel_key: &Bytes, id: u64) -> RowKey {
    RowKey {
        table: &tables::MESSAGES,
        scope: Scope::App(app),
        partition: channel_key.clone(),
        clustering: id_bytes(id),
    }
}

/// Big-endian, so that rows are in the order of their ids.
pub(crate) fn id_bytes(id: u64) -> Bytes {
    Bytes::copy_from_slice(&id.to_be_bytes())
}

/// Reads [`id_bytes`] back; what is none is 0.
pub(crate) fn id_of(clustering: &[u8]) -> u64 {
    clustering.try_into().map_or(0, u64::from_be_bytes)
}

/// The user's partition of `table`.
pub(crate) fn user_partition(user: &str) -> Bytes {
    Bytes::copy_from_slice(user.as_bytes())
}

/// `app` and the parts, a zero byte between them; no part but the last holds one.
fn join(app: AppUuid, parts: &[&[u8]]) -> Bytes {
    let bytes: usize = parts.iter().map(|part| part.len() + 1).sum();
    let mut key = BytesMut::with_capacity(APP_BYTES + bytes);
    key.put_slice(&app.0);
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            key.put_u8(0);
        }
        key.put_slice(part);
    }
    key.freeze()
}

fn split(table: &'static Table, bytes: &Bytes, partition_end: usize) -> RowKey {
    RowKey {
        table,
        scope: scope_of(bytes),
        partition: bytes.slice(APP_BYTES..partition_end),
        clustering: bytes.slice(partition_end + 1..),
    }
}

fn scope_of(bytes: &[u8]) -> Scope {
    let mut app = [0; APP_BYTES];
    app.copy_from_slice(&bytes[..APP_BYTES]);
    Scope::App(AppUuid(app))
}

/// The slot of the channel whose key begins behind `end`.
fn slot_in(bytes: &[u8], end: usize) -> u16 {
    let Scope::App(app) = scope_of(bytes) else { return 0 };
    let channel_key = bytes.get(end + 1..).unwrap_or_default();
    // Made of legal names only.
    slot_of(app, std::str::from_utf8(channel_key).unwrap_or_default())
}

fn is_of(bytes: &[u8], user_end: usize, app: AppUuid, user: &str) -> bool {
    bytes[..APP_BYTES] == app.0 && &bytes[APP_BYTES..user_end] == user.as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_hold_the_names_of_their_rows() {
        let app = AppUuid([0; 16]);
        let standing = StandingKey::new(app, "bob", b"d:alice:bob");
        assert_eq!(
            (&standing.row().partition[..], &standing.row().clustering[..]),
            (&b"bob"[..], &b"d:alice:bob"[..])
        );
        let cursor = CursorKey::new(app, "bob", "web_1", b"d:alice:bob");
        assert_eq!(
            (&cursor.row().partition[..], &cursor.row().clustering[..]),
            (&b"bob"[..], &b"web_1\0d:alice:bob"[..])
        );
        assert_eq!(&cursor.device_row().clustering[..], b"web_1");
        assert_eq!([standing.slot(), cursor.slot()], [slot_of(app, "d:alice:bob"); 2]);
        let sender = SenderKey::new(app, "bob", "web_1");
        let client_id = ClientId::new(7, MessageKind::Recall);
        assert_eq!(&sender.row(client_id).partition[..], b"bob\0web_1");
        assert_eq!(ClientId::of_row(&sender.row(client_id).clustering), Some(client_id));
        assert_eq!(ClientId::of_row(b"12345678"), None);
        assert!(standing.is_of(app, "bob") && cursor.is_of(app, "bob") && sender.is_of(app, "bob"));
        assert!(!standing.is_of(app, "bo") && !standing.is_of(AppUuid([1; 16]), "bob"));
    }
}
