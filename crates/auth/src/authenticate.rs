//! Judges a token: who holds it, and whether that still counts.

use std::sync::Arc;

use bulkhead_model::{AppUuid, ErrorKind, Result, fold_username};
use bulkhead_proto::auth::{AuthenticateRequest, Identity};
use bulkhead_proto::records::{App, User};
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::AuthService;
use crate::changes::POLL_MS;
use crate::standing::{Facts, second_of};

/// Longest token that is looked at, in bytes; an AccessToken2 with every service stays far below.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// What is known of a token by itself.
#[derive(Clone)]
pub(crate) struct Verdict {
    pub(crate) holder: Holder,
    pub(crate) facts: Facts,
    /// How long before its user was registered it may have been issued; what is older is of an earlier user of that
    /// name.
    pub(crate) registration_slack_ms: u64,
    /// From its issue to its end, of a token for which the app sets how long that may be.
    pub(crate) life_s: Option<u64>,
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
        self.catch_up(POLL_MS).await?;
        let app = self.app(uuid).await?;
        match self.judge_token(uuid, &app, request).await {
            Err(error) if app.no_certificate && !request.username.is_empty() => {
                self.without_certificate(uuid, request, error).await
            }
            outcome => outcome.map(|(identity, _)| identity),
        }
    }

    /// Judges a request by its token alone, whatever mode the app is in.
    pub(crate) async fn judge_token(
        &self,
        uuid: AppUuid,
        app: &App,
        request: &AuthenticateRequest,
    ) -> Result<(Identity, Facts)> {
        let verdict = self.verdict(uuid, app, &request.token).await?;
        let now_ms = self.clock.now_ms();
        verdict.check_rules(app, now_ms)?;
        verdict.facts.check_app(app, now_ms)?;
        let expires_ms = if verdict.expires_ms == u64::MAX { 0 } else { verdict.expires_ms };
        let identity = Identity { app: request.app.clone(), expires_ms, ..Identity::default() };
        let facts = verdict.facts;
        let name = match verdict.holder {
            // App privilege administers; it opens no socket in anybody's name.
            Holder::App if request.username.is_empty() => {
                return Ok((Identity { grant: facts.to_grant(None), ..identity }, facts));
            }
            Holder::App => return Err(ErrorKind::Unauthenticated.into()),
            Holder::User(name) => name,
        };
        let user = self.user(uuid, &name).await?;
        if !request.username.is_empty() && !is_named(&user, &request.username) {
            return Err(ErrorKind::Unauthenticated.into());
        }
        facts.check_user(app, &user)?;
        if facts.issued_ms + verdict.registration_slack_ms < user.created_ms {
            return Err(ErrorKind::TokenExpired.into());
        }
        if app.single_token {
            self.note_newest(uuid, &user, facts.issued_ms).await?;
        }
        let grant = facts.to_grant(Some(&user));
        let (username, user_uuid) = (user.username.clone(), user.uuid.clone());
        Ok((Identity { username, user_uuid, grant, ..identity }, facts))
    }

    /// Where a user holds one token: this one is it now, and every older one is ended.
    pub(crate) async fn note_newest(&self, app: AppUuid, user: &User, issued_ms: u64) -> Result<()> {
        let second_ms = second_of(issued_ms);
        if second_ms <= user.newest_token_ms {
            return Ok(());
        }
        let note = |user: &mut User| user.newest_token_ms = user.newest_token_ms.max(second_ms);
        let noted = self.rewrite(app, &user.username, note).await?;
        // A newer one may have come meanwhile.
        if noted.newest_token_ms > second_ms { Err(ErrorKind::TokenExpired.into()) } else { Ok(()) }
    }

    /// The verdict on a token, remembered by its hash.
    async fn verdict(&self, uuid: AppUuid, app: &App, token: &str) -> Result<Verdict> {
        if token.is_empty() || token.len() > TOKEN_BYTES_MAX {
            return Err(ErrorKind::Unauthenticated.into());
        }
        let hash = hash_of(token);
        let key = (uuid, hash);
        if let Some(verdict) = self.verdicts.get(&key) {
            let has_ended = |source| self.ended.contains_key(&(uuid, source));
            if verdict.facts.source.is_some_and(has_ended) {
                return Err(ErrorKind::TokenExpired.into());
            }
            return Ok(verdict);
        }
        let changes = self.changes.count();
        let verdict = if token.starts_with(bulkhead_token::PREFIX) {
            self.verify_access_token(uuid, app, token, hash).await?
        } else {
            self.verify_opaque(uuid, token, hash).await?
        };
        self.verdicts.insert(key, verdict.clone());
        // What was read before a change must not outlive it.
        if self.changes.count() != changes {
            self.verdicts.invalidate(&key);
        }
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
        if !user.activated {
            return Err(ErrorKind::UserNotActivated.into());
        }
        metrics::counter!("bulkhead_auth_logins_without_certificate_total").increment(1);
        let facts = Facts { token: None, source: None, issued_ms: 0, certificate: None };
        Ok(Identity {
            app: request.app.clone(),
            username: user.username.clone(),
            user_uuid: user.uuid.clone(),
            expires_ms: 0,
            without_certificate: true,
            grant: facts.to_grant(Some(&user)),
        })
    }
}

/// What names a token without telling it: the SHA-256 of its text.
pub(crate) fn hash_of(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// Whether a login's name means this user: the username in any case, or the registration UUID.
fn is_named(user: &Arc<User>, name: &str) -> bool {
    fold_username(name) == user.username || name.eq_ignore_ascii_case(&uuid_text(&user.uuid))
}

/// The text form of a registration UUID.
pub(crate) fn uuid_text(uuid: &Bytes) -> String {
    AppUuid::from_slice(uuid).map(|uuid| uuid.to_string()).unwrap_or_default()
}
