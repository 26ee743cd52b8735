//! Where the records of this service stand in the store.

use bulkhead_model::{AppUuid, ErrorKind, Result};
use bulkhead_store::{Mutation, Put, RowKey, Scope, Store, Table, tables};
use bytes::Bytes;
use prost::Message;

/// The one partition of the table of apps.
pub(crate) const APPS_PARTITION: Bytes = Bytes::from_static(b"apps");

/// The time that one partition of the table of changes is for, in milliseconds.
const CHANGE_BUCKET_MS: u64 = 10 * 60 * 1000;

/// The one partition of the table of users by time.
pub(crate) const USERS_PARTITION: Bytes = Bytes::from_static(b"users");

/// An app's row, under its AppKey.
pub(crate) fn app(app_key: &str) -> RowKey {
    row(&tables::APPS, Scope::Region, APPS_PARTITION, Bytes::copy_from_slice(app_key.as_bytes()))
}

/// Where an App ID leads to; the case of its digits does not matter.
pub(crate) fn app_id(app_id: &str) -> RowKey {
    row(&tables::APP_IDS, Scope::Region, Bytes::from(app_id.to_ascii_lowercase()), Bytes::new())
}

/// Where an app's UUID leads to.
pub(crate) fn app_uuid(uuid: AppUuid) -> RowKey {
    row(&tables::APP_UUIDS, Scope::Region, Bytes::copy_from_slice(&uuid.0), Bytes::new())
}

/// A user's row.
pub(crate) fn user(app: AppUuid, username: &str) -> RowKey {
    row(&tables::USERS, Scope::App(app), Bytes::copy_from_slice(username.as_bytes()), Bytes::new())
}

/// Where a user's UUID leads to.
pub(crate) fn user_uuid(app: AppUuid, uuid: &[u8]) -> RowKey {
    row(&tables::USER_UUIDS, Scope::App(app), Bytes::copy_from_slice(uuid), Bytes::new())
}

/// A user's place in the order of registration.
pub(crate) fn user_by_time(app: AppUuid, registration_key: Bytes) -> RowKey {
    row(&tables::USERS_BY_TIME, Scope::App(app), USERS_PARTITION, registration_key)
}

/// An opaque token, under the hash of its text.
pub(crate) fn token(app: AppUuid, hash: &[u8; 32]) -> RowKey {
    row(&tables::TOKENS, Scope::App(app), Bytes::copy_from_slice(hash), Bytes::new())
}

/// An AccessToken2 that was revoked, under the hash of its text.
pub(crate) fn revoked_token(app: AppUuid, hash: &[u8; 32]) -> RowKey {
    row(&tables::REVOKED_TOKENS, Scope::App(app), Bytes::copy_from_slice(hash), Bytes::new())
}

/// Which partition of the table of changes an instant is in.
pub(crate) fn change_bucket(at_ms: u64) -> u64 {
    at_ms / CHANGE_BUCKET_MS
}

/// The partition's key.
pub(crate) fn change_partition(bucket: u64) -> Bytes {
    Bytes::copy_from_slice(&bucket.to_be_bytes())
}

/// A change of credentials, and its key within its partition.
pub(crate) fn auth_change(at_ms: u64, salt: u64) -> (RowKey, Bytes) {
    let key = Bytes::from([at_ms.to_be_bytes(), salt.to_be_bytes()].concat());
    let partition = change_partition(change_bucket(at_ms));
    (row(&tables::AUTH_CHANGES, Scope::Region, partition, key.clone()), key)
}

/// A put of an encoded record.
pub(crate) fn put(key: RowKey, record: &impl Message) -> Put {
    Put { key, value: record.encode_to_vec().into(), expires_in_ms: None }
}

/// The same as a mutation.
pub(crate) fn write(key: RowKey, record: &impl Message) -> Mutation {
    Mutation::Put(put(key, record))
}

/// Reads a record; `Internal` when the row is not one.
pub(crate) async fn read<R: Message + Default>(store: &dyn Store, key: RowKey) -> Result<Option<R>> {
    store.get(key).await?.map(decode).transpose()
}

/// Decodes a record.
pub(crate) fn decode<R: Message + Default>(bytes: Bytes) -> Result<R> {
    R::decode(bytes).map_err(|_| ErrorKind::Internal.with("a stored record cannot be read"))
}

fn row(table: &'static Table, scope: Scope, partition: Bytes, clustering: Bytes) -> RowKey {
    RowKey { table, scope, partition, clustering }
}
