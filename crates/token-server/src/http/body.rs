use axum::body::{Body, to_bytes};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// What `POST /v1/tokens/user` takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UserTokenRequest {
    /// The app's own id.
    pub(super) user: String,
    /// How long the token lives, in seconds.
    #[serde(default)]
    pub(super) ttl_s: Option<u32>,
}

/// Reads a body of at most `bytes_max` bytes. What is wrong with it is not repeated: it may hold an id of a user.
pub(super) async fn read<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
) -> Result<T, ApiError> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        return Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "the body must be JSON, with Content-Type: application/json",
        ));
    }
    let bytes = to_bytes(body, bytes_max).await.map_err(|_| {
        ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "request_too_large",
            "the body is too large or broke off",
        )
    })?;
    serde_json::from_slice(&bytes).map_err(|_| {
        ApiError::new(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            "the body is not the JSON that this call takes",
        )
    })
}
