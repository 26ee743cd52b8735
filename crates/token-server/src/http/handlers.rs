//! What each call does, and its line in the log.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse, Response};
use bulkhead_model::{ErrorKind, Result as ModelResult};
use http::{HeaderMap, StatusCode};
use serde::Serialize;

use super::answer::{self, AppTokenAnswer, ForgottenAnswer, HealthAnswer, UserAnswer, UserTokenAnswer};
use super::audit;
use super::body::{self, UserTokenRequest};
use super::caller::Caller;
use super::error::ApiError;
use crate::TokenServer;
use crate::user_id::UserId;

type Server = State<Arc<TokenServer>>;
type PathText = Result<Path<String>, PathRejection>;

pub(super) async fn user_token(
    State(server): Server,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let mut subject = String::new();
    let outcome = async {
        let request: UserTokenRequest = body::read(&headers, body, server.settings.body_bytes_max).await?;
        let user = UserId::new(request.user)?;
        subject = server.subject(&user);
        let issued = server.user_token(&user, request.ttl_s).await?;
        Ok(UserTokenAnswer {
            token: issued.token.token,
            expires_at: issued.token.expires_s,
            username: issued.username,
        })
    }
    .await;
    finish(&caller, "user_token", &subject, outcome)
}

pub(super) async fn app_token(State(server): Server, Extension(caller): Extension<Caller>) -> Response {
    let outcome = server
        .app_token()
        .map(|token| AppTokenAnswer { token: token.token, expires_at: token.expires_s })
        .map_err(ApiError::from);
    finish(&caller, "app_token", "", outcome)
}

pub(super) async fn forget(
    State(server): Server,
    Extension(caller): Extension<Caller>,
    path: PathText,
) -> Response {
    let mut subject = String::new();
    let outcome = async {
        let user = UserId::new(text_of(path)?)?;
        subject = server.subject(&user);
        let forgotten = server.forget(&user).await?;
        Ok(ForgottenAnswer { username: forgotten.username })
    }
    .await;
    finish(&caller, "forget_user", &subject, outcome)
}

pub(super) async fn find_by_username(
    State(server): Server,
    Extension(caller): Extension<Caller>,
    path: PathText,
) -> Response {
    let mut subject = String::new();
    let outcome = async {
        let found = server.find_by_username(&text_of(path)?).await?;
        subject = server.subject(&UserId::new(found.user.clone())?);
        Ok(UserAnswer { user: found.user, username: found.username, created_at: found.created_ms / 1000 })
    }
    .await;
    finish(&caller, "find_by_username", &subject, outcome)
}

/// Asks nobody else: whether the region is there is told by the monitor.
pub(super) async fn health() -> Response {
    answer::json(StatusCode::OK, &HealthAnswer { status: "ok" })
}

fn text_of(path: PathText) -> ModelResult<String> {
    match path {
        Ok(Path(text)) => Ok(text),
        Err(_) => Err(ErrorKind::InvalidArgument.with("the path is no text")),
    }
}

fn finish<T: Serialize>(
    caller: &Caller,
    action: &'static str,
    subject: &str,
    outcome: Result<T, ApiError>,
) -> Response {
    audit::write(caller, action, subject, &outcome);
    match outcome {
        Ok(body) => answer::json(StatusCode::OK, &body),
        Err(error) => error.into_response(),
    }
}
