//! Finds, lists, changes and deletes users.

use std::sync::Arc;

use bulkhead_model::{AppUuid, ErrorKind, Result, fold_username};
use bulkhead_proto::auth::update_user_request::Change;
use bulkhead_proto::auth::{ListUsersRequest, UpdateUserRequest, UserList, UserRequest};
use bulkhead_proto::records::{AuthChange, User};
use bulkhead_store::{Mutation, Scan, Scope, tables};
use bytes::Bytes;
use prost::Message;

use crate::register::check_nickname;
use crate::revoke::cut_ms;
use crate::{AuthService, rows, shown};

/// Most users of one page.
const PAGE_MAX: u32 = 100;

/// Attempts at a change that meets other changes of the same user.
const ATTEMPTS_MAX: usize = 8;

impl AuthService {
    /// A user by name in any case, or by the text form of the registration UUID. The UUID has precedence, or else a user
    /// could take over the tokens of another by registering under the other's UUID.
    pub(crate) async fn user(&self, app: AppUuid, name: &str) -> Result<Arc<User>> {
        let name = fold_username(name);
        if name.is_empty() || name.len() > bulkhead_model::USERNAME_BYTES_MAX {
            return Err(ErrorKind::UserNotFound.into());
        }
        let key = (app, name);
        if let Some(user) = self.users.get(&key) {
            return Ok(user);
        }
        let changes = self.changes.count();
        let user = match self.user_of_uuid(app, &key.1).await? {
            Some(user) => user,
            None => {
                let named: Option<User> = rows::read(&*self.store, rows::user(app, &key.1)).await?;
                named.ok_or(ErrorKind::UserNotFound)?
            }
        };
        let user = Arc::new(user);
        // Under the username only, so that a change has one entry to drop; and never under a name that is somebody's
        // UUID, because that name leads elsewhere.
        let key = (app, user.username.clone());
        self.users.insert(key.clone(), user.clone());
        // What was read before a change must not outlive it.
        if self.changes.count() != changes {
            self.users.invalidate(&key);
        }
        Ok(user)
    }

    async fn user_of_uuid(&self, app: AppUuid, text: &str) -> Result<Option<User>> {
        let digits: String = text.chars().filter(|digit| *digit != '-').collect();
        let mut uuid = [0u8; 16];
        if text.len() != 36 || hex::decode_to_slice(digits, &mut uuid).is_err() {
            return Ok(None);
        }
        let Some(username) = self.store.get(rows::user_uuid(app, &uuid)).await? else { return Ok(None) };
        let username = String::from_utf8_lossy(&username).into_owned();
        let user: Option<User> = rows::read(&*self.store, rows::user(app, &username)).await?;
        Ok(user.filter(|user| user.uuid == uuid.as_slice()))
    }

    pub(crate) async fn page_of_users(&self, request: ListUsersRequest) -> Result<UserList> {
        let app = AppUuid::from_slice(&request.app)?;
        if !(1..=PAGE_MAX).contains(&request.limit) {
            return Err(ErrorKind::InvalidArgument.with("limit must be 1-100"));
        }
        let mut from =
            hex::decode(&request.cursor).map_err(|_| ErrorKind::InvalidArgument.with("not a cursor"))?;
        if !from.is_empty() {
            from.push(0);
        }
        let limit = request.limit as usize;
        let scan = Scan {
            table: &tables::USERS_BY_TIME,
            scope: Scope::App(app),
            partition: rows::USERS_PARTITION,
            from: from.into(),
            to: Bytes::new(),
            descending: false,
            // One more tells whether there is a next page.
            limit: limit + 1,
        };
        let mut found = self.store.scan(scan).await?;
        let more = found.len() > limit;
        found.truncate(limit);
        let next_cursor = match found.last() {
            Some(last) if more => hex::encode(&last.clustering),
            _ => String::new(),
        };
        let keys = found.iter().map(|row| rows::user(app, &String::from_utf8_lossy(&row.value))).collect();
        let users = self.store.get_many(keys).await?;
        let mut page = Vec::with_capacity(users.len());
        for (value, place) in users.into_iter().zip(found) {
            let Some(user) = value.map(rows::decode::<User>).transpose()? else { continue };
            // A place that a registration left which came second is nobody's.
            if user.registration_key == place.clustering {
                page.push(shown::user(user));
            }
        }
        Ok(UserList { users: page, next_cursor })
    }

    pub(crate) async fn change_user(&self, request: UpdateUserRequest) -> Result<User> {
        let app = AppUuid::from_slice(&request.app)?;
        let change = match request.change.ok_or(ErrorKind::InvalidArgument)? {
            Change::Password(password) if password.is_empty() => {
                return Err(ErrorKind::InvalidArgument.with("password is empty"));
            }
            // Hashed before the loop: it costs milliseconds.
            Change::Password(password) => Change::Password(self.password_hash(password).await?),
            other => other,
        };
        if let Change::Nickname(nickname) = &change {
            check_nickname(nickname)?;
        }
        let now_ms = self.clock.now_ms();
        self.rewrite(app, &request.user, |user| {
            user.modified_ms = now_ms;
            match &change {
                Change::Password(hash) => {
                    user.password_hash.clone_from(hash);
                    user.tokens_valid_from_ms = cut_ms(now_ms, user.tokens_valid_from_ms);
                    user.cut_by_password = true;
                }
                Change::Activated(activated) => user.activated = *activated,
                Change::Nickname(nickname) => user.nickname = Some(nickname.clone()),
                Change::NotificationDisplayStyle(style) => user.notification_display_style = Some(*style),
            }
        })
        .await
    }

    pub(crate) async fn remove_user(&self, request: UserRequest) -> Result<User> {
        let app = AppUuid::from_slice(&request.app)?;
        let user = self.user(app, &request.user).await?;
        self.store
            .write(vec![
                Mutation::Delete(rows::user_by_time(app, user.registration_key.clone())),
                Mutation::Delete(rows::user_uuid(app, &user.uuid)),
                Mutation::Delete(rows::user(app, &user.username)),
            ])
            .await?;
        self.tell_of_user(app, &user.username).await?;
        Ok(Arc::unwrap_or_clone(user))
    }

    /// Changes a user's record, whoever else changes it at the same time.
    pub(crate) async fn rewrite(&self, app: AppUuid, name: &str, change: impl Fn(&mut User)) -> Result<User> {
        let username = self.user(app, name).await?.username.clone();
        let key = rows::user(app, &username);
        for _ in 0..ATTEMPTS_MAX {
            let stored = self.store.get(key.clone()).await?.ok_or(ErrorKind::UserNotFound)?;
            let mut user: User = rows::decode(stored.clone())?;
            change(&mut user);
            let done =
                self.store.compare_and_set(key.clone(), Some(stored), user.encode_to_vec().into()).await;
            // Also when it failed: it may have been applied.
            self.users.invalidate(&(app, username.clone()));
            if done? {
                self.tell_of_user(app, &username).await?;
                return Ok(user);
            }
        }
        Err(ErrorKind::Conflict.into())
    }

    async fn tell_of_user(&self, app: AppUuid, username: &str) -> Result<()> {
        self.tell(app, AuthChange { user: username.to_owned(), ..AuthChange::default() }).await
    }
}
