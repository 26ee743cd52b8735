//! One table from kinds of errors to answers.

use std::borrow::Cow;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use bulkhead_model::{Error, ErrorKind};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use super::answer;

/// A refused call.
#[derive(Debug)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    /// For programs.
    pub(super) word: &'static str,
    /// For people; nothing of what the caller sent is in it.
    description: Cow<'static, str>,
    retry_after: Option<Duration>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, word: &'static str, description: &'static str) -> Self {
        Self { status, word, description: description.into(), retry_after: None }
    }

    /// The same, with the time after which a repetition may succeed.
    pub(super) fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let (status, word) = match error.kind() {
            ErrorKind::InvalidArgument => (StatusCode::BAD_REQUEST, "invalid_request"),
            ErrorKind::UserNotFound => (StatusCode::NOT_FOUND, "user_not_found"),
            ErrorKind::Conflict => (StatusCode::CONFLICT, "conflict"),
            ErrorKind::Unavailable | ErrorKind::Timeout => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            // Whatever else there is cannot come from what a caller asked for.
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "internal_error"),
        };
        let retry_after = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(Duration::from_secs(1));
        let description = match status {
            StatusCode::INTERNAL_SERVER_ERROR => ErrorKind::Internal.text().into(),
            _ => error.message().to_owned().into(),
        };
        Self { status, word, description, retry_after }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.word, "error_description": self.description });
        let mut response = answer::json(self.status, &body);
        if let Some(wait) = self.retry_after {
            // Whole seconds, rounded up: sooner would be refused again.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_an_answer_and_what_is_no_ones_fault_tells_nothing() {
        for kind in ErrorKind::ALL {
            let error = ApiError::from(kind.with("inner words"));
            assert!(error.status.as_u16() >= 400, "{kind:?}");
            let is_internal = error.status == StatusCode::INTERNAL_SERVER_ERROR;
            assert_eq!(is_internal, error.description == "internal error", "{kind:?}");
            assert_eq!(error.retry_after.is_some(), error.status == StatusCode::SERVICE_UNAVAILABLE);
        }
    }

    #[test]
    fn a_wait_is_told_in_whole_seconds_rounded_up() {
        let error = ApiError::new(StatusCode::TOO_MANY_REQUESTS, "x", "y");
        let response = error.retry_after(Duration::from_millis(1200)).into_response();
        assert_eq!(response.headers()["retry-after"], "2");
    }
}
