//! Gives tokens for what a caller can prove.

use std::sync::Arc;

use bulkhead_model::{AppUuid, ErrorKind, Result, fold_username};
use bulkhead_proto::auth::{
    AuthenticateRequest, ClientCredentialsGrant, GrantedToken, InheritGrant, NewUser, PasswordGrant,
};
use bulkhead_proto::records::User;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::AuthService;

impl AuthService {
    pub(crate) async fn grant_to_client(&self, request: ClientCredentialsGrant) -> Result<GrantedToken> {
        let uuid = AppUuid::from_slice(&request.app)?;
        let app = self.app(uuid).await?;
        let secret = Sha256::digest(&request.client_secret);
        let right = app.client_id.as_bytes().ct_eq(request.client_id.as_bytes())
            & secret.as_slice().ct_eq(&app.client_secret_hash);
        if !bool::from(right) {
            return Err(ErrorKind::WrongClientSecret.into());
        }
        self.grant(uuid, None, self.expiry_of(request.ttl_s)).await
    }

    pub(crate) async fn grant_for_password(&self, request: PasswordGrant) -> Result<GrantedToken> {
        let uuid = AppUuid::from_slice(&request.app)?;
        self.app(uuid).await?;
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
        self.grant_to_user(uuid, user, request.ttl_s).await
    }

    pub(crate) async fn grant_on_behalf(&self, request: InheritGrant) -> Result<GrantedToken> {
        let uuid = AppUuid::from_slice(&request.app)?;
        self.app(uuid).await?;
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
        self.grant_to_user(uuid, user, request.ttl_s).await
    }

    pub(crate) async fn exchange(&self, request: AuthenticateRequest) -> Result<GrantedToken> {
        let identity = self.judge(&request).await?;
        let uuid = AppUuid::from_slice(&identity.app)?;
        let user = match identity.username.as_str() {
            "" => None,
            username => Some(self.user(uuid, username).await?),
        };
        self.grant(uuid, user, identity.expires_ms).await
    }

    async fn grant_to_user(&self, app: AppUuid, user: Arc<User>, ttl_s: Option<u64>) -> Result<GrantedToken> {
        if !user.activated {
            return Err(ErrorKind::UserNotActivated.into());
        }
        self.grant(app, Some(user), self.expiry_of(ttl_s)).await
    }

    async fn grant(&self, app: AppUuid, user: Option<Arc<User>>, expires_ms: u64) -> Result<GrantedToken> {
        let username = user.as_ref().map_or("", |user| user.username.as_str());
        let access_token = self.issue(app, username, expires_ms).await?;
        let user = user.map(Arc::unwrap_or_clone);
        Ok(GrantedToken { access_token, expires_ms, user, issued_ms: self.clock.now_ms() })
    }
}
