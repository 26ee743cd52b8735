//! The sealed map between the app's own ids and chat usernames, on the storage port.
//!
//! A row is found by a keyed hash of the id, so that neither keys nor values of what is stored show an id. All keys come
//! from the map key (HKDF): one seals rows, one hashes ids to row keys, one hashes them for the log.

mod keys;
mod rows;
mod username;

use std::sync::Arc;

use bulkhead_model::{AppId, AppUuid, Clock, Entropy, Error, ErrorKind, Region, Result};
use bulkhead_store::{Mutation, Put, RowKey, Scope, Store};
use bytes::Bytes;

use crate::user_id::UserId;
pub use keys::MAP_KEY_BYTES;
use keys::MapKeys;
pub(crate) use rows::Mapped;
pub use rows::TABLES;
use rows::{CHECK, CHECK_PARTITION, USERNAMES, USERS};

/// The map of one app.
pub struct UserMap {
    store: Arc<dyn Store>,
    keys: MapKeys,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

/// An entry as it is stored.
pub(crate) struct Entry {
    pub(crate) mapped: Mapped,
    /// What a change replaces.
    stored: Bytes,
}

impl UserMap {
    /// Takes a map into use, or begins one. `InvalidArgument` when it was begun with another key or for another app.
    pub async fn open(
        store: Arc<dyn Store>,
        key: &[u8; MAP_KEY_BYTES],
        region: Region,
        app_id: &AppId,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self> {
        let keys = MapKeys::new(key, region, scope_of(app_id)?);
        let map = Self { store, keys, clock, entropy };
        let app = app_id.as_str().to_ascii_lowercase();
        // Of no app: one folder has one of it, whichever app the map is opened for.
        let row = RowKey { scope: Scope::Region, ..map.keys.row(&CHECK, CHECK_PARTITION) };
        let mark = map.keys.seal(&row, app.as_bytes(), &*map.entropy);
        let begun = map.store.insert_if_absent(Put { key: row.clone(), value: mark, expires_in_ms: None });
        match begun.await?.map(|found| map.keys.open(&row, &found)) {
            None => Ok(map),
            Some(Ok(found)) if found == app.as_bytes() => Ok(map),
            Some(_) => {
                Err(ErrorKind::InvalidArgument.with("the map was made with another key or for another app"))
            }
        }
    }

    /// The entry of a user, made and durable if there was none. Of all who ask at the same time for a user that is new,
    /// each gets the same.
    pub(crate) async fn find_or_make(&self, user: &UserId) -> Result<Entry> {
        if let Some(entry) = self.find(user).await? {
            return Ok(entry);
        }
        let mapped = Mapped {
            user: user.as_str().to_owned(),
            username: username::random(&*self.entropy),
            created_ms: self.clock.now_ms(),
            is_made: false,
        };
        let put = self.put_of(&mapped)?;
        let stored = put.value.clone();
        match self.store.insert_if_absent(put).await? {
            None => Ok(Entry { mapped, stored }),
            Some(other) => self.entry(user, other),
        }
    }

    /// The entry of a user.
    pub(crate) async fn find(&self, user: &UserId) -> Result<Option<Entry>> {
        let row = self.keys.row(&USERS, self.keys.hash(user.as_str()));
        match self.store.get(row).await? {
            None => Ok(None),
            Some(stored) => self.entry(user, stored).map(Some),
        }
    }

    /// Makes an entry findable by its username; before a name is told to anybody, so that none is without.
    pub(crate) async fn index(&self, entry: &Entry) -> Result<()> {
        let row = self.keys.row(&USERNAMES, entry.mapped.username.as_bytes().to_vec());
        let value = self.keys.seal(&row, entry.mapped.user.as_bytes(), &*self.entropy);
        self.store.write(vec![Mutation::Put(Put { key: row, value, expires_in_ms: None })]).await
    }

    /// Notes that the chat user is there. `Conflict` when the entry was removed meanwhile.
    pub(crate) async fn mark_made(&self, entry: &Entry) -> Result<()> {
        let made = Mapped { is_made: true, ..entry.mapped.clone() };
        let put = self.put_of(&made)?;
        if self.store.compare_and_set(put.key, Some(entry.stored.clone()), put.value).await? {
            return Ok(());
        }
        let user = UserId::new(made.user.clone())?;
        match self.find(&user).await? {
            Some(now) if now.mapped.username == made.username => Ok(()),
            _ => Err(ErrorKind::Conflict.with("the user's entry was removed meanwhile")),
        }
    }

    /// Removes the entry of a user and answers what it was. A later request for the user gives another username.
    pub(crate) async fn remove(&self, user: &UserId) -> Result<Option<Mapped>> {
        let Some(entry) = self.find(user).await? else { return Ok(None) };
        let users = self.keys.row(&USERS, self.keys.hash(user.as_str()));
        let usernames = self.keys.row(&USERNAMES, entry.mapped.username.as_bytes().to_vec());
        self.store.write(vec![Mutation::Delete(users), Mutation::Delete(usernames)]).await?;
        Ok(Some(entry.mapped))
    }

    /// The entry whose username it is.
    pub(crate) async fn find_by_username(&self, username: &str) -> Result<Option<Mapped>> {
        if !username::is_one(username) {
            return Ok(None);
        }
        let row = self.keys.row(&USERNAMES, username.as_bytes().to_vec());
        let Some(sealed) = self.store.get(row.clone()).await? else { return Ok(None) };
        let user = String::from_utf8(self.keys.open(&row, &sealed)?).map_err(|_| damaged())?;
        let entry = self.find(&UserId::new(user)?).await?;
        // An entry that was removed while it was being made may have left a name behind.
        Ok(entry.map(|entry| entry.mapped).filter(|mapped| mapped.username == username))
    }

    /// What stands for a user in the log: the same for the same user, and nothing that leads back to it without the key.
    pub(crate) fn subject(&self, user: &UserId) -> String {
        self.keys.subject(user.as_str())
    }

    fn put_of(&self, mapped: &Mapped) -> Result<Put> {
        let key = self.keys.row(&USERS, self.keys.hash(&mapped.user));
        let text = serde_json::to_vec(mapped).map_err(|_| ErrorKind::Internal)?;
        let value = self.keys.seal(&key, &text, &*self.entropy);
        Ok(Put { key, value, expires_in_ms: None })
    }

    fn entry(&self, user: &UserId, stored: Bytes) -> Result<Entry> {
        let row = self.keys.row(&USERS, self.keys.hash(user.as_str()));
        let text = self.keys.open(&row, &stored)?;
        let mapped: Mapped = serde_json::from_slice(&text).map_err(|_| damaged())?;
        if mapped.user != user.as_str() {
            return Err(damaged());
        }
        Ok(Entry { mapped, stored })
    }
}

/// App IDs are 16 bytes, as the identities of apps are that scope rows.
fn scope_of(app_id: &AppId) -> Result<AppUuid> {
    let mut bytes = [0; 16];
    hex::decode_to_slice(app_id.as_str(), &mut bytes)
        .map_err(|_| ErrorKind::InvalidArgument.with("an App ID is 32 hex digits"))?;
    Ok(AppUuid(bytes))
}

fn damaged() -> Error {
    tracing::error!("an entry of the map is damaged");
    ErrorKind::Internal.with("the map is damaged")
}
