//! Request bodies: JSON, whatever the `Content-Type` says.
//!
//! The Java server SDK sends JSON without that header (server-sdk.md A), so it is not looked at.

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::Value;

use super::call::Call;
use super::error::RestError;

/// A JSON body as a tree, for handlers that check fields one by one.
pub(super) struct Json(pub(super) Value);

impl<S: Send + Sync> FromRequest<S> for Json {
    type Rejection = RestError;

    async fn from_request(request: Request, state: &S) -> Result<Self, RestError> {
        let bytes = read(request, state).await?;
        if bytes.is_empty() {
            return Err(invalid_body());
        }
        parse(&bytes).map(Self)
    }
}

/// Reads a body up to `body_bytes_max`; 413 above it, 408 or 400 when it breaks off.
async fn read<S: Send + Sync>(request: Request, _: &S) -> Result<Bytes, RestError> {
    let bytes_max = match request.extensions().get::<Call>() {
        Some(call) => call.gateway.settings.body_bytes_max,
        None => 0,
    };
    let body: Body = request.into_body();
    match Limited::new(body, bytes_max).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(RestError::of_status(StatusCode::PAYLOAD_TOO_LARGE))
        }
        Err(_) => Err(RestError::of_status(StatusCode::BAD_REQUEST)),
    }
}

/// 400 `json_parse` for what is no UTF-8 or no JSON. The parser's own text is not passed on: it may quote the body.
fn parse(bytes: &[u8]) -> Result<Value, RestError> {
    let wrong = |text: String| {
        RestError::new(
            StatusCode::BAD_REQUEST,
            "json_parse",
            "com.fasterxml.jackson.core.JsonParseException",
            text,
        )
    };
    let text = std::str::from_utf8(bytes)
        .map_err(|error| wrong(format!("Unexpected character. Not UTF-8 at byte {}", error.valid_up_to())))?;
    serde_json::from_str(text).map_err(|error| {
        wrong(format!("Unexpected character. line {}, column {}", error.line(), error.column()))
    })
}

/// 400 `invalid_request_body`: there is JSON where there must be other JSON, or none.
pub(super) fn invalid_body() -> RestError {
    RestError::new(
        StatusCode::BAD_REQUEST,
        "invalid_request_body",
        "InvalidRequestBodyException",
        "Request body is invalid. Please check body is correct.",
    )
}

/// The names of a required array of strings; 400 with `name` when it is missing, empty, too long or holds other things.
pub(super) fn names(body: &Value, name: &'static str, max: usize) -> Result<Vec<String>, RestError> {
    let list = body
        .get(name)
        .and_then(Value::as_array)
        .ok_or_else(|| RestError::illegal(format!("{name} must be an array of usernames")))?;
    if list.is_empty() || list.len() > max {
        return Err(RestError::illegal(format!("{name} must hold 1 to {max} usernames")));
    }
    list.iter()
        .map(|entry| entry.as_str().map(str::to_owned))
        .collect::<Option<_>>()
        .ok_or_else(|| RestError::illegal(format!("{name} must be an array of usernames")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_json_is_refused_without_quoting_it() {
        for bytes in [&b"{\"password\":\"s3cret\""[..], b"\xff{}", b"s3cret", b"{}{}", &[b'['; 4096]] {
            let error = parse(bytes).unwrap_err();
            assert_eq!((error.status.as_u16(), error.error), (400, "json_parse"));
            assert!(error.description.starts_with("Unexpected character."), "{}", error.description);
            assert!(!error.description.contains("s3cret"));
        }
    }

    #[test]
    fn an_array_of_names_is_held_to_its_bounds() {
        let body = |count: usize| serde_json::json!({ "usernames": vec!["a"; count] });
        assert_eq!(names(&body(100), "usernames", 100).unwrap().len(), 100);
        for wrong in [body(0), body(101), serde_json::json!({}), serde_json::json!({"usernames": [1]})] {
            assert_eq!(names(&wrong, "usernames", 100).unwrap_err().status.as_u16(), 400);
        }
    }
}
