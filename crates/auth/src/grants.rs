//! Gives tokens for what a caller can prove.

use std::sync::Arc;

use bulkhead_model::{AppUuid, ErrorKind, Result, fold_username};
use bulkhead_proto::auth::{
    AuthenticateRequest, ClientCredentialsGrant, GrantedToken, InheritGrant, NewUser, PasswordGrant,
};
use bulkhead_proto::records::{App, User};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::changes::POLL_MS;
use crate::standing::Facts;
use crate::{AuthService, shown};

impl AuthService {
    pub(crate) async fn grant_to_client(&self, request: ClientCredentialsGrant) -> Result<GrantedToken> {
        let uuid = AppUuid::from_slice(&request.app)?;
        self.catch_up(POLL_MS).await?;
        let app = self.app(uuid).await?;
        let secret = Sha256::digest(&request.client_secret);
        let right = app.client_id.as_bytes().ct_eq(request.client_id.as_bytes())
            & secret.as_slice().ct_eq(&app.client_secret_hash);
        if !bool::from(right) {
            return Err(ErrorKind::WrongClientSecret.into());
        }
        self.grant(&app, None, self.clock.now_ms(), self.expiry_of(request.ttl_s), None).await
    }

    pub(crate) async fn grant_for_password(&self, request: PasswordGrant) -> Result<GrantedToken> {
        let uuid = AppUuid::from_slice(&request.app)?;
        self.catch_up(POLL_MS).await?;
        let app = self.app(uuid).await?;
        // Taken before the password is read: a change of it meanwhile ends the token too.
        let asked_ms = self.clock.now_ms();
        let user = match self.user(uuid, &request.username).await {
            Ok(user) => Some(user),
            Err(error) if error.kind() == ErrorKind::UserNotFound => None,
            Err(error) => return Err(error),
        };
        // Verified even when there is no such user, so that the time of the answer does not tell.
        let hash = user.as_ref().map(|user| user.password_hash.clone());
        let right = self.passwords.verify(request.password, hash).await?;
        let user = user.ok_or(ErrorKind::UserNotFound)?;
        if !right {
            return Err(ErrorKind::WrongPassword.into());
        }
        self.grant_to_user(&app, user, asked_ms, request.ttl_s).await
    }

    pub(crate) async fn grant_on_behalf(&self, request: InheritGrant) -> Result<GrantedToken> {
        let uuid = AppUuid::from_slice(&request.app)?;
        self.catch_up(POLL_MS).await?;
        let app = self.app(uuid).await?;
        let user = match self.user(uuid, &request.username).await {
            Err(error) if error.kind() == ErrorKind::UserNotFound && request.auto_create_user => {
                let username = fold_username(&request.username);
                let new = NewUser { username: username.clone(), password: String::new(), nickname: None };
                match self.register_one(uuid, new).await {
                    Ok(user) => Arc::new(user),
                    // Made by a parallel call: that is as good.
                    Err(error) if error.kind() == ErrorKind::UserExists => self.user(uuid, &username).await?,
                    Err(error) => return Err(error),
                }
            }
            found => found?,
        };
        self.grant_to_user(&app, user, self.clock.now_ms(), request.ttl_s).await
    }

    pub(crate) async fn exchange(&self, request: AuthenticateRequest) -> Result<GrantedToken> {
        let uuid = AppUuid::from_slice(&request.app)?;
        self.catch_up(POLL_MS).await?;
        let app = self.app(uuid).await?;
        if !request.token.starts_with(bulkhead_token::PREFIX) {
            return Err(ErrorKind::Unauthenticated.into());
        }
        let asked_ms = self.clock.now_ms();
        // By the token alone: "No certificate" mode opens sockets, it gives no tokens away.
        let (identity, facts) = self.judge_token(uuid, &app, &request).await?;
        let user = match identity.username.as_str() {
            "" => None,
            username => Some(self.user(uuid, username).await?),
        };
        self.grant(&app, user, asked_ms, identity.expires_ms, Some(&facts)).await
    }

    async fn grant_to_user(
        &self,
        app: &App,
        user: Arc<User>,
        asked_ms: u64,
        ttl_s: Option<u64>,
    ) -> Result<GrantedToken> {
        if !user.activated {
            return Err(ErrorKind::UserNotActivated.into());
        }
        self.grant(app, Some(user), asked_ms, self.expiry_of(ttl_s), None).await
    }

    /// A token is issued at the earliest when its user's and app's tokens became valid, so that one issued in the
    /// millisecond of a cut, but after it, is told from one issued before.
    async fn grant(
        &self,
        app: &App,
        user: Option<Arc<User>>,
        asked_ms: u64,
        expires_ms: u64,
        source: Option<&Facts>,
    ) -> Result<GrantedToken> {
        let uuid = AppUuid::from_slice(&app.uuid)?;
        let of_user = |user: &Arc<User>| {
            let newest_ms = if app.single_token { user.newest_token_ms } else { 0 };
            user.created_ms.max(user.tokens_valid_from_ms).max(newest_ms)
        };
        let valid_from_ms = user.as_ref().map_or(0, of_user).max(app.tokens_valid_from_ms);
        let issued_ms = asked_ms.max(valid_from_ms);
        let username = user.as_ref().map_or("", |user| user.username.as_str());
        if let Some(user) = user.as_ref().filter(|_| app.single_token && source.is_none()) {
            self.note_newest(uuid, user, issued_ms).await?;
        }
        let access_token = self.issue(uuid, username, issued_ms, expires_ms, source).await?;
        let user = user.map(|user| shown::user(Arc::unwrap_or_clone(user)));
        Ok(GrantedToken { access_token, expires_ms, user, issued_ms })
    }
}
