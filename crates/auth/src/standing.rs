//! Whether somebody who was let in may stay: the same questions at every request, and again whenever something changed that
//! they depend on.

use std::sync::Arc;

use bulkhead_model::{AppUuid, ErrorKind, Result};
use bulkhead_proto::auth::{CheckGrantsRequest, Grant, GrantStanding, GrantStandings, HeldGrant};
use bulkhead_proto::records::{App, User};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use prost::Message;

use crate::rules::{FINGERPRINT_BYTES, accepted_certificates, fingerprint};
use crate::{AuthService, rows};

/// Most grants of one request.
const GRANTS_MAX: usize = 500;

/// Grants that are looked up at the same time.
const AT_ONCE: usize = 32;

/// What it depends on whether a token still counts, besides its own end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// SHA-256 of its text; `None` for whoever came without one.
    pub(crate) token: Option<[u8; 32]>,
    /// That of the AccessToken2 that it was given for.
    pub(crate) source: Option<[u8; 32]>,
    /// An AccessToken2 has whole seconds, so that it counts as issued at the beginning of its second.
    pub(crate) issued_ms: u64,
    pub(crate) certificate: Option<[u8; FINGERPRINT_BYTES]>,
}

impl Facts {
    /// What a session remembers.
    pub(crate) fn to_grant(&self, user: Option<&User>) -> Bytes {
        let bytes = |hash: Option<&[u8]>| hash.map(Bytes::copy_from_slice).unwrap_or_default();
        let grant = Grant {
            user_uuid: user.map(|user| user.uuid.clone()).unwrap_or_default(),
            token: bytes(self.token.as_ref().map(|hash| &hash[..])),
            source: bytes(self.source.as_ref().map(|hash| &hash[..])),
            issued_ms: self.issued_ms,
            certificate: bytes(self.certificate.as_ref().map(|print| &print[..])),
        };
        grant.encode_to_vec().into()
    }

    fn of(grant: &Grant) -> Result<Self> {
        fn exact<const N: usize>(bytes: &[u8]) -> Result<Option<[u8; N]>> {
            if bytes.is_empty() {
                return Ok(None);
            }
            let bytes = bytes.try_into().map_err(|_| ErrorKind::InvalidArgument.with("not a grant"))?;
            Ok(Some(bytes))
        }
        Ok(Self {
            token: exact(&grant.token)?,
            source: exact(&grant.source)?,
            issued_ms: grant.issued_ms,
            certificate: exact(&grant.certificate)?,
        })
    }

    /// Whether the app, as it is at an instant, still accepts the token.
    pub(crate) fn check_app(&self, app: &App, now_ms: u64) -> Result<()> {
        if self.token.is_none() {
            return if app.no_certificate { Ok(()) } else { Err(ErrorKind::Unauthenticated.into()) };
        }
        let is_accepted = |print| accepted_certificates(app, now_ms).any(|one| fingerprint(one) == print);
        if self.certificate.is_some_and(|print| !is_accepted(print)) {
            return Err(ErrorKind::Unauthenticated.into());
        }
        if self.issued_ms < app.tokens_valid_from_ms { Err(ErrorKind::TokenExpired.into()) } else { Ok(()) }
    }

    /// Whether the user, as it is now, still has this token.
    pub(crate) fn check_user(&self, app: &App, user: &User) -> Result<()> {
        if !user.activated {
            return Err(ErrorKind::UserNotActivated.into());
        }
        let is_old = app.single_token && second_of(self.issued_ms) < user.newest_token_ms;
        if self.token.is_some() && (is_old || self.issued_ms < user.tokens_valid_from_ms) {
            return Err(ErrorKind::TokenExpired.into());
        }
        Ok(())
    }
}

/// The beginning of the second that an instant is in: all that the forms of token have in common.
pub(crate) fn second_of(ms: u64) -> u64 {
    ms / 1000 * 1000
}

impl AuthService {
    /// Whether grants stand, by what is stored and not by what is in memory.
    pub(crate) async fn check_held(&self, request: CheckGrantsRequest) -> Result<GrantStandings> {
        if request.grants.len() > GRANTS_MAX {
            return Err(ErrorKind::InvalidArgument.with("at most 500 grants at once"));
        }
        let uuid = AppUuid::from_slice(&request.app)?;
        self.catch_up(0).await?;
        let app = match self.app(uuid).await {
            Ok(app) => app,
            Err(error) if error.kind() == ErrorKind::AppNotFound => {
                let standings = vec![GrantStanding::Removed.into(); request.grants.len()];
                return Ok(GrantStandings { standings });
            }
            Err(error) => return Err(error),
        };
        let app_only = request.app_only;
        let checks =
            request.grants.into_iter().map(|held| self.check_one(uuid, Arc::clone(&app), held, app_only));
        let standings: Vec<GrantStanding> = stream::iter(checks).buffered(AT_ONCE).try_collect().await?;
        Ok(GrantStandings { standings: standings.into_iter().map(Into::into).collect() })
    }

    async fn check_one(
        &self,
        uuid: AppUuid,
        app: Arc<App>,
        held: HeldGrant,
        app_only: bool,
    ) -> Result<GrantStanding> {
        let grant =
            Grant::decode(&held.grant[..]).map_err(|_| ErrorKind::InvalidArgument.with("not a grant"))?;
        let facts = Facts::of(&grant)?;
        if facts.check_app(&app, self.clock.now_ms()).is_err() {
            return Ok(GrantStanding::Ended);
        }
        if app_only {
            return Ok(GrantStanding::Stands);
        }
        let user = match self.user(uuid, &held.username).await {
            Ok(user) if user.uuid == grant.user_uuid => user,
            Ok(_) => return Ok(GrantStanding::Removed),
            Err(error) if error.kind() == ErrorKind::UserNotFound => return Ok(GrantStanding::Removed),
            Err(error) => return Err(error),
        };
        if let Err(error) = facts.check_user(&app, &user) {
            let by_password = user.cut_by_password && facts.issued_ms < user.tokens_valid_from_ms;
            return Ok(match error.kind() {
                ErrorKind::UserNotActivated => GrantStanding::Deactivated,
                _ if by_password => GrantStanding::PasswordChanged,
                _ => GrantStanding::Ended,
            });
        }
        if self.is_revoked(uuid, &facts).await? {
            Ok(GrantStanding::Ended)
        } else {
            Ok(GrantStanding::Stands)
        }
    }

    /// Whether this very token was taken back, or the one that it was given for.
    async fn is_revoked(&self, uuid: AppUuid, facts: &Facts) -> Result<bool> {
        let marks = [facts.token, facts.source].into_iter().flatten();
        let mut keys: Vec<_> = marks.map(|hash| rows::revoked_token(uuid, &hash)).collect();
        let marks = keys.len();
        // An opaque token is what its row says; no certificate of its own signed it.
        let opaque = facts.token.filter(|_| facts.certificate.is_none() || facts.source.is_some());
        keys.extend(opaque.map(|hash| rows::token(uuid, &hash)));
        let found = self.store.get_many(keys).await?;
        let (marked, opaque) = found.split_at(marks);
        Ok(marked.iter().any(Option::is_some) || opaque.iter().any(Option::is_none))
    }
}
