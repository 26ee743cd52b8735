//! Registers users, each with an outcome of its own.

use bulkhead_model::{AppUuid, ErrorKind, Result, fold_username, username_is_legal};
use bulkhead_proto::auth::registration::Outcome;
use bulkhead_proto::auth::{Failure, NewUser, RegisterUsersRequest, RegisteredUsers, Registration};
use bulkhead_proto::records::User;
use bulkhead_store::{Mutation, Put};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::{AuthService, rows, shown};

/// Most users of one request (features.md §3.2).
const BATCH_MAX: usize = 60;

/// Users of one request that are worked on at the same time.
const AT_ONCE_MAX: usize = 8;

/// Longest password, in characters (features.md §1).
const PASSWORD_CHARS_MAX: usize = 64;

/// Longest nickname, in characters (features.md §1).
const NICKNAME_CHARS_MAX: usize = 100;

impl AuthService {
    pub(crate) async fn register(&self, request: RegisterUsersRequest) -> Result<RegisteredUsers> {
        let app = AppUuid::from_slice(&request.app)?;
        self.app(app).await?;
        if request.users.is_empty() || request.users.len() > BATCH_MAX {
            return Err(ErrorKind::InvalidArgument.with("1-60 users can be registered at once"));
        }
        let registrations = request.users.into_iter().map(|new| self.registration(app, new));
        let outcomes = stream::iter(registrations).buffered(AT_ONCE_MAX).try_collect().await?;
        Ok(RegisteredUsers { outcomes })
    }

    /// The outcome of one user. A store that does not answer is no outcome of one user but fails the request.
    async fn registration(&self, app: AppUuid, new: NewUser) -> Result<Registration> {
        let username = new.username.clone();
        let outcome = match self.register_one(app, new).await {
            Ok(user) => Outcome::User(shown::user(user)),
            Err(error) if !matches!(error.kind(), ErrorKind::InvalidArgument | ErrorKind::UserExists) => {
                return Err(error);
            }
            Err(error) => Outcome::Failure(Failure {
                kind: error.kind().name().to_owned(),
                message: error.message().to_owned(),
            }),
        };
        Ok(Registration { username, outcome: Some(outcome) })
    }

    /// Registers one user of an app that exists.
    pub(crate) async fn register_one(&self, app: AppUuid, new: NewUser) -> Result<User> {
        let username = fold_username(&new.username);
        if !username_is_legal(&username) {
            return Err(ErrorKind::InvalidArgument.with("username is not legal"));
        }
        check_nickname(new.nickname.as_deref().unwrap_or_default())?;
        // Looked up before the costly hash; the insert below is what decides.
        if self.store.get(rows::user(app, &username)).await?.is_some() {
            return Err(ErrorKind::UserExists.into());
        }
        let password_hash = self.password_hash(new.password).await?;
        let now_ms = self.clock.now_ms();
        let uuid = AppUuid::generate(&*self.entropy);
        let registration_key = [now_ms.to_be_bytes(), self.entropy.next_u64().to_be_bytes()].concat();
        let user = User {
            uuid: Bytes::copy_from_slice(&uuid.0),
            username: username.clone(),
            password_hash,
            nickname: new.nickname,
            created_ms: now_ms,
            modified_ms: now_ms,
            activated: true,
            registration_key: registration_key.into(),
            ..User::default()
        };
        // The ways to the user first: a crash in between leaves ways that lead nowhere, never a user that no list finds.
        let name = Bytes::from(username.clone());
        let index = |key| Mutation::Put(Put { key, value: name.clone(), expires_in_ms: None });
        let by_uuid = rows::user_uuid(app, &user.uuid);
        let by_time = rows::user_by_time(app, user.registration_key.clone());
        self.store.write(vec![index(by_uuid.clone()), index(by_time.clone())]).await?;
        if self.store.insert_if_absent(rows::put(rows::user(app, &username), &user)).await?.is_some() {
            self.store.write(vec![Mutation::Delete(by_uuid), Mutation::Delete(by_time)]).await?;
            return Err(ErrorKind::UserExists.into());
        }
        Ok(user)
    }

    /// The hash of a password of legal length; empty for no password, which nothing ever matches.
    pub(crate) async fn password_hash(&self, password: String) -> Result<String> {
        if password.chars().count() > PASSWORD_CHARS_MAX {
            return Err(ErrorKind::InvalidArgument.with("password is longer than 64 characters"));
        }
        if password.is_empty() { Ok(String::new()) } else { self.passwords.hash(password).await }
    }
}

/// Refuses a nickname over its limit.
pub(crate) fn check_nickname(nickname: &str) -> Result<()> {
    if nickname.chars().count() > NICKNAME_CHARS_MAX {
        return Err(ErrorKind::InvalidArgument.with("nickname is longer than 100 characters"));
    }
    Ok(())
}
