//! Judges a token: who holds it, and whether that still counts.

use std::sync::Arc;

use bulkhead_model::{AppUuid, ErrorKind, Result, fold_username};
use bulkhead_proto::auth::{AuthenticateRequest, Identity};
use bulkhead_proto::records::{App, User};
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::AuthService;

/// Longest token that is looked at, in bytes; an AccessToken2 with every service stays far below.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// What is known of a token by itself.
#[derive(Clone)]
pub(crate) struct Verdict {
    pub(crate) holder: Holder,
    pub(crate) issued_ms: u64,
    /// How much later than `issued_ms` it may really have been issued.
    pub(crate) issue_slack_ms: u64,
    /// How long before its user was registered it may have been issued; what is older is of an earlier user of that
    /// name.
    pub(crate) registration_slack_ms: u64,
    /// Exclusive; `u64::MAX` is never.
    pub(crate) expires_ms: u64,
}

/// Whom a token speaks for.
#[derive(Clone)]
pub(crate) enum Holder {
    App,
    /// A username, or the text form of a registration UUID.
    User(String),
}

impl AuthService {
    pub(crate) async fn judge(&self, request: &AuthenticateRequest) -> Result<Identity> {
        let uuid = AppUuid::from_slice(&request.app)?;
        let app = self.app(uuid).await?;
        match self.judge_token(uuid, &app, request).await {
            Err(error) if app.no_certificate && !request.username.is_empty() => {
                self.without_certificate(uuid, request, error).await
            }
            outcome => outcome,
        }
    }

    /// Judges a request by its token alone, whatever mode the app is in.
    pub(crate) async fn judge_token(
        &self,
        uuid: AppUuid,
        app: &App,
        request: &AuthenticateRequest,
    ) -> Result<Identity> {
        let verdict = self.verdict(uuid, app, &request.token).await?;
        if verdict.expires_ms <= self.clock.now_ms() {
            return Err(ErrorKind::TokenExpired.into());
        }
        let expires_ms = if verdict.expires_ms == u64::MAX { 0 } else { verdict.expires_ms };
        let identity = Identity { app: request.app.clone(), expires_ms, ..Identity::default() };
        match verdict.holder {
            // App privilege administers; it opens no socket in anybody's name.
            Holder::App if request.username.is_empty() => Ok(identity),
            Holder::App => Err(ErrorKind::Unauthenticated.into()),
            Holder::User(name) => {
                let user = self.user(uuid, &name).await?;
                if !request.username.is_empty() && !is_named(&user, &request.username) {
                    return Err(ErrorKind::Unauthenticated.into());
                }
                check_state(&user)?;
                if verdict.issued_ms + verdict.issue_slack_ms < user.tokens_valid_from_ms
                    || verdict.issued_ms + verdict.registration_slack_ms < user.created_ms
                {
                    return Err(ErrorKind::TokenExpired.into());
                }
                Ok(Identity { username: user.username.clone(), user_uuid: user.uuid.clone(), ..identity })
            }
        }
    }

    /// The verdict on a token, remembered by the hash of token and certificates.
    async fn verdict(&self, uuid: AppUuid, app: &App, token: &str) -> Result<Verdict> {
        if token.is_empty() || token.len() > TOKEN_BYTES_MAX {
            return Err(ErrorKind::Unauthenticated.into());
        }
        let key = verdict_key(app, token);
        if let Some(verdict) = self.verdicts.get(&key) {
            return Ok(verdict);
        }
        let verdict = if token.starts_with(bulkhead_token::PREFIX) {
            self.verify_access_token(app, token)?
        } else {
            self.verify_opaque(uuid, token).await?
        };
        self.verdicts.insert(key, verdict.clone());
        Ok(verdict)
    }

    /// "No certificate" mode: any user that exists and is active gets in by name, on a socket only.
    async fn without_certificate(
        &self,
        uuid: AppUuid,
        request: &AuthenticateRequest,
        refusal: bulkhead_model::Error,
    ) -> Result<Identity> {
        // A token that names another region or a user that is switched off is no login without a certificate.
        if !matches!(refusal.kind(), ErrorKind::Unauthenticated | ErrorKind::TokenExpired) {
            return Err(refusal);
        }
        let user = self.user(uuid, &request.username).await?;
        check_state(&user)?;
        metrics::counter!("bulkhead_auth_logins_without_certificate_total").increment(1);
        Ok(Identity {
            app: request.app.clone(),
            username: user.username.clone(),
            user_uuid: user.uuid.clone(),
            expires_ms: 0,
            without_certificate: true,
        })
    }
}

/// The key of a verdict. The certificates are part of it, so that a certificate that is taken away takes its verdicts
/// along.
pub(crate) fn verdict_key(app: &App, token: &str) -> [u8; 32] {
    Sha256::new()
        .chain_update(&app.uuid)
        .chain_update(&app.certificate_primary)
        .chain_update([0])
        .chain_update(&app.certificate_secondary)
        .chain_update([0])
        .chain_update(token)
        .finalize()
        .into()
}

/// Whether a login's name means this user: the username in any case, or the registration UUID.
fn is_named(user: &Arc<User>, name: &str) -> bool {
    fold_username(name) == user.username || name.eq_ignore_ascii_case(&uuid_text(&user.uuid))
}

fn check_state(user: &User) -> Result<()> {
    if user.activated { Ok(()) } else { Err(ErrorKind::UserNotActivated.into()) }
}

/// The text form of a registration UUID.
pub(crate) fn uuid_text(uuid: &Bytes) -> String {
    AppUuid::from_slice(uuid).map(|uuid| uuid.to_string()).unwrap_or_default()
}
