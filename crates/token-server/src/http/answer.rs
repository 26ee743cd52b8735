use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

/// An answer in JSON, which nobody on its way may keep.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let text = serde_json::to_vec(body).expect("strings and numbers always serialize");
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// What `POST /v1/tokens/user` answers.
#[derive(Serialize)]
pub(super) struct UserTokenAnswer {
    pub(super) token: String,
    /// Unix seconds.
    pub(super) expires_at: u64,
    /// Who the user is in chat.
    pub(super) username: String,
}

/// What `POST /v1/tokens/app` answers.
#[derive(Serialize)]
pub(super) struct AppTokenAnswer {
    pub(super) token: String,
    /// Unix seconds.
    pub(super) expires_at: u64,
}

/// What `DELETE /v1/users/{user}` answers.
#[derive(Serialize)]
pub(super) struct ForgottenAnswer {
    /// Who the user was in chat, where it still is.
    pub(super) username: String,
}

/// What `GET /v1/users/by-username/{username}` answers.
#[derive(Serialize)]
pub(super) struct UserAnswer {
    /// The app's own id.
    pub(super) user: String,
    pub(super) username: String,
    /// Unix seconds.
    pub(super) created_at: u64,
}

/// What `GET /healthz` answers.
#[derive(Serialize)]
pub(super) struct HealthAnswer {
    pub(super) status: &'static str,
}
