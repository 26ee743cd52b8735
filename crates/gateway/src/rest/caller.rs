//! Who calls: the bearer token of a request, judged by the auth service.

use axum::extract::FromRequestParts;
use bulkhead_model::{AppUuid, ErrorKind, fold_username};
use bulkhead_proto::auth::AuthenticateRequest;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, header};

use super::call::Call;
use super::dispatch::explain_region;
use super::error::RestError;

/// What a token allows.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Privilege {
    /// Everything in the app.
    App,
    /// What concerns this user.
    User { username: String, uuid: Bytes },
}

/// A call with a valid token.
pub(super) struct Caller {
    pub(super) call: Call,
    privilege: Privilege,
    /// When the token ends, in Unix milliseconds; 0 means never.
    pub(super) expires_ms: u64,
}

impl Caller {
    /// App privilege, or 401.
    pub(super) fn require_app(&self) -> Result<(), RestError> {
        match self.privilege {
            Privilege::App => Ok(()),
            Privilege::User { .. } => Err(ErrorKind::PermissionDenied.into()),
        }
    }

    /// The user whose token it is; `None` for app privilege.
    pub(super) fn username(&self) -> Option<&str> {
        match &self.privilege {
            Privilege::App => None,
            Privilege::User { username, .. } => Some(username),
        }
    }

    /// App privilege or the user itself (named by username or registration UUID), or 401: a user token learns nothing
    /// about another user, not even whether there is one (server-sdk.md B).
    pub(super) fn require_app_or_self(&self, user: &str) -> Result<(), RestError> {
        if self.privilege == Privilege::App || self.is(user) {
            Ok(())
        } else {
            Err(ErrorKind::PermissionDenied.into())
        }
    }

    /// The user itself, or 401; answers the username.
    pub(super) fn require_self(&self, user: &str) -> Result<&str, RestError> {
        match &self.privilege {
            Privilege::User { username, .. } if self.is(user) => Ok(username),
            _ => Err(ErrorKind::PermissionDenied.into()),
        }
    }

    fn is(&self, user: &str) -> bool {
        match &self.privilege {
            Privilege::App => false,
            Privilege::User { username, uuid } => {
                *username == fold_username(user)
                    || AppUuid::from_slice(uuid).is_ok_and(|uuid| uuid.to_string().eq_ignore_ascii_case(user))
            }
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = RestError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, RestError> {
        let call = Call::from_request_parts(parts, state).await?;
        let token = bearer(&parts.headers)?.ok_or_else(|| RestError::from(ErrorKind::Unauthenticated))?;
        authenticate(call, token).await
    }
}

/// A call that may come without a token.
pub(super) struct MaybeCaller {
    pub(super) call: Call,
    pub(super) caller: Option<Caller>,
}

impl<S: Send + Sync> FromRequestParts<S> for MaybeCaller {
    type Rejection = RestError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, RestError> {
        let call = Call::from_request_parts(parts, state).await?;
        let caller = match bearer(&parts.headers)? {
            Some(token) => Some(authenticate(call.clone(), token).await?),
            None => None,
        };
        Ok(Self { call, caller })
    }
}

/// The raw bearer token of a request; the grant `agora` judges it by another call than the others.
pub(super) struct Bearer(pub(super) Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for Bearer {
    type Rejection = RestError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, RestError> {
        bearer(&parts.headers).map(Self)
    }
}

/// The bearer token among the headers; 401 for a header that holds none.
pub(super) fn bearer(headers: &HeaderMap) -> Result<Option<String>, RestError> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let refused = || RestError::from(ErrorKind::Unauthenticated);
    let text = value.to_str().map_err(|_| refused())?.trim();
    if text.is_empty() {
        return Ok(None);
    }
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty() => {
            Ok(Some(token.trim().to_owned()))
        }
        _ => Err(refused()),
    }
}

/// Judges a token. A missing or deactivated owner of a token is a refusal of the token here, so 401 and not the 404 or
/// 400 that the same kinds mean for a named user.
pub(super) async fn authenticate(call: Call, token: String) -> Result<Caller, RestError> {
    let request = AuthenticateRequest { app: call.app_bytes(), token, username: String::new() };
    let identity = call.gateway.auth.authenticate(request).await.map_err(|error| match error.kind() {
        ErrorKind::UserNotFound | ErrorKind::UserNotActivated | ErrorKind::InvalidArgument => {
            RestError::from(ErrorKind::Unauthenticated)
        }
        _ => explain_region(&call.gateway, error),
    })?;
    // "No certificate" mode opens sockets without a token; it never gives privilege over REST, where the answer would be
    // an identity without a user, which is what app privilege looks like.
    if identity.without_certificate || identity.app != call.app.uuid {
        return Err(ErrorKind::Unauthenticated.into());
    }
    let privilege = if identity.username.is_empty() {
        Privilege::App
    } else {
        Privilege::User { username: identity.username, uuid: identity.user_uuid }
    };
    Ok(Caller { call, privilege, expires_ms: identity.expires_ms })
}
