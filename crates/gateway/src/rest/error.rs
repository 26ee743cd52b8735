//! The error of a REST call: one table from kind to answer, and the words that SDKs match on.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use bulkhead_model::{Error, ErrorKind};
use http::StatusCode;
use serde::Serialize;

/// A refused call. As a response it has no body yet: the outermost layer knows when the call began and writes the
/// envelope of features.md §2.3 (`finish.rs`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RestError {
    pub(super) status: StatusCode,
    /// Machine word, e.g. `resource_not_found`.
    pub(super) error: &'static str,
    /// Java class name that server SDKs know.
    pub(super) exception: &'static str,
    /// Text for people, which the web SDK matches on too.
    pub(super) description: Cow<'static, str>,
    /// Number of features.md §5.2.
    pub(super) code: Option<u32>,
}

impl RestError {
    pub(super) fn new(
        status: StatusCode,
        error: &'static str,
        exception: &'static str,
        description: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { status, error, exception, description: description.into(), code: None }
    }

    /// 400 `illegal_argument`: a value is missing or outside its bounds.
    pub(super) fn illegal(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "illegal_argument",
            "java.lang.IllegalArgumentException",
            description,
        )
    }

    /// 400 `invalid_grant`: the answers of POST `/token` (features.md §3.1).
    pub(super) fn invalid_grant(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_grant", "InvalidGrantException", description)
    }

    /// 501 `not_implemented`: a documented call that is not built.
    pub(super) fn not_built(what: &str) -> Self {
        let mut error = Self::from(ErrorKind::Unimplemented);
        error.description = format!("{what} is not built yet").into();
        error
    }

    /// The same error with the number that SDKs know it by.
    pub(super) fn with_code(mut self, code: u32) -> Self {
        self.code = Some(code);
        self
    }

    /// What an answer without a body of ours becomes: the refusals of the HTTP layers themselves.
    pub(super) fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::new(
                status,
                "resource_not_found",
                "ResourceNotFoundException",
                "There is no such resource; check method, path and app",
            ),
            StatusCode::METHOD_NOT_ALLOWED => Self::new(
                status,
                "method_not_allowed",
                "MethodNotAllowedException",
                "Request method is not supported here",
            ),
            StatusCode::REQUEST_TIMEOUT => {
                Self::new(status, "request_timeout", "RequestTimeoutException", "Request timed out")
            }
            StatusCode::PAYLOAD_TOO_LARGE => Self::new(
                status,
                "request_entity_too_large",
                "RequestEntityTooLargeException",
                "Request entity too large",
            ),
            StatusCode::UPGRADE_REQUIRED => Self::new(
                status,
                "tls_required",
                "TlsRequiredException",
                "This address takes nothing in the clear; use https or wss",
            ),
            StatusCode::INTERNAL_SERVER_ERROR => ErrorKind::Internal.into(),
            StatusCode::SERVICE_UNAVAILABLE => ErrorKind::Unavailable.into(),
            _ if status.is_client_error() => {
                Self::new(status, "invalid_request", "BadRequestException", "Invalid request")
            }
            _ => Self::new(status, "web_application", "WebApplicationException", "Request failed"),
        }
    }

    /// The JSON of features.md §2.3.
    pub(super) fn envelope(&self, now_ms: u64, duration_ms: u64) -> Vec<u8> {
        #[derive(Serialize)]
        struct Envelope<'a> {
            error: &'a str,
            exception: &'a str,
            timestamp: u64,
            duration: u64,
            #[serde(skip_serializing_if = "Option::is_none")]
            error_code: Option<u32>,
            error_description: &'a str,
        }
        serde_json::to_vec(&Envelope {
            error: self.error,
            exception: self.exception,
            timestamp: now_ms,
            duration: duration_ms,
            error_code: self.code,
            error_description: &self.description,
        })
        .expect("strings and numbers always serialize")
    }
}

impl IntoResponse for RestError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<ErrorKind> for RestError {
    fn from(kind: ErrorKind) -> Self {
        Error::from(kind).into()
    }
}

impl From<Error> for RestError {
    fn from(error: Error) -> Self {
        let kind = error.kind();
        let (status, word, exception, own_text, code) = row(kind);
        let status = StatusCode::from_u16(status).expect("the table holds valid statuses");
        // The text of a service is more exact than the table's, unless it only repeats the kind's.
        let description = match own_text {
            Some(text) if error.message() == kind.text() => Cow::Borrowed(text),
            _ if error.message() == kind.text() => Cow::Borrowed(kind.text()),
            _ => Cow::Owned(error.message().to_owned()),
        };
        Self { status, error: word, exception, description, code }
    }
}

type Row = (u16, &'static str, &'static str, Option<&'static str>, Option<u32>);

/// The table (features.md §5.1, §5.2): status, word, exception, the text that clients match on where it differs from
/// the kind's own, number.
fn row(kind: ErrorKind) -> Row {
    use ErrorKind::*;
    match kind {
        InvalidArgument => (400, "illegal_argument", "java.lang.IllegalArgumentException", None, None),
        TooLarge => (400, "message_send_error", "MessageSendException", None, Some(14007)),
        // The web SDK tells "no permission" from other failures by exactly this text (msync.md §7).
        Unauthenticated | PermissionDenied => (401, "unauthorized", "EasemobSecurityException", None, None),
        TokenExpired => (401, "unauthorized", "EasemobSecurityException", None, None),
        RegistrationClosed => (401, "unauthorized", "EasemobSecurityException", None, None),
        WrongPassword | WrongClientSecret | UserNotActivated => {
            (400, "invalid_grant", "InvalidGrantException", None, None)
        }
        AppForbidden => {
            (403, "forbidden_service_operation", "ForbiddenServiceOperationException", None, None)
        }
        AppNotFound => (
            404,
            "organization_application_not_found",
            "OrganizationApplicationNotFoundException",
            None,
            None,
        ),
        WrongRegion => (421, "wrong_region", "MisdirectedRequestException", None, None),
        // The web SDK knows a missing user by this text together with this exception.
        UserNotFound => (
            404,
            "service_resource_not_found",
            "UserNotFoundException",
            Some("Service resource not found"),
            None,
        ),
        UserExists => {
            (400, "duplicate_unique_property_exists", "DuplicateUniquePropertyExistsException", None, None)
        }
        ChannelNotFound => {
            (404, "resource_not_found", "ResourceNotFoundException", Some("do not find this group"), None)
        }
        ChannelExists => (400, "illegal_argument", "java.lang.IllegalArgumentException", None, None),
        ChannelFull => (403, "exceed_limit", "EasemobExceedLimitException", None, None),
        ChannelForbidden => (403, "forbidden_op", "EasemobForbiddenOpException", None, None),
        NotMember => (
            403,
            "forbidden_op",
            "EasemobForbiddenOpException",
            Some("users are not members of this group"),
            None,
        ),
        Blocked | Muted => (403, "forbidden_op", "EasemobForbiddenOpException", None, None),
        MessageNotFound => (404, "entity_not_found", "MessageUnavailableException", None, None),
        RecallTooLate => (403, "message_recall_error", "MessageRecallException", None, None),
        RecallDisabled => (
            403,
            "forbidden_op",
            "EasemobForbiddenOpException",
            Some("message recall service is unopened"),
            None,
        ),
        EditLimitReached => (403, "message_rewrite_error", "EditLimitExceededException", None, None),
        EditNotAvailable => (403, "message_rewrite_error", "EditFeatureNotEnabledException", None, None),
        NotAuthor => (401, "message_rewrite_error", "RewriteMessageNotAuthorizedException", None, None),
        RateLimited => (429, "reach_limit", "EasemobReachLimitException", None, None),
        PlanLimitReached => (429, "resource_limited", "ResourceLimitedException", None, None),
        Conflict => (409, "concurrent_operation_error", "ConcurrentOperationException", None, None),
        // The web SDK tells a file that has expired from one that never was by these words.
        AttachmentNotFound => (404, "storage_object_not_found", "StorageObjectNotFoundException", None, None),
        AttachmentExpired => (404, "file_expired", "FileExpiredException", None, None),
        NotFound => (404, "service_resource_not_found", "ServiceResourceNotFoundException", None, None),
        Unimplemented => (501, "not_implemented", "NotImplementedException", None, None),
        NotOwner | Unavailable => (503, "service_unavailable", "ServiceUnavailableException", None, None),
        Timeout => (504, "gateway_timeout", "GatewayTimeoutException", None, None),
        Internal => (500, "internal_server_error", "InternalServerErrorException", None, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_status_a_word_an_exception_and_a_text() {
        for kind in ErrorKind::ALL {
            let error = RestError::from(*kind);
            assert!(error.status.is_client_error() || error.status.is_server_error(), "{kind:?}");
            assert!(!error.error.is_empty() && !error.exception.is_empty(), "{kind:?}");
            assert!(!error.description.is_empty(), "{kind:?}");
        }
    }

    #[test]
    fn the_numbers_and_words_that_clients_match_on_stay() {
        let status = |kind: ErrorKind| RestError::from(kind).status.as_u16();
        assert_eq!(status(ErrorKind::PermissionDenied), 401);
        assert_eq!(
            RestError::from(ErrorKind::PermissionDenied).description,
            "Unable to authenticate (OAuth)"
        );
        assert_eq!(status(ErrorKind::WrongRegion), 421);
        assert_eq!(status(ErrorKind::RateLimited), 429);
        assert_eq!(RestError::from(ErrorKind::RateLimited).error, "reach_limit");
        assert_eq!(RestError::from(ErrorKind::TooLarge).code, Some(14007));
        let missing = RestError::from(ErrorKind::UserNotFound);
        assert_eq!(
            (missing.error, missing.exception, &*missing.description),
            ("service_resource_not_found", "UserNotFoundException", "Service resource not found")
        );
    }

    #[test]
    fn a_services_own_text_is_kept() {
        let error = RestError::from(ErrorKind::UserNotFound.with("username bob doesn't exist!"));
        assert_eq!(error.description, "username bob doesn't exist!");
    }

    #[test]
    fn the_envelope_has_the_documented_fields() {
        let error = RestError::from(ErrorKind::TooLarge);
        assert_eq!(
            String::from_utf8(error.envelope(1_748_575_460_150, 3)).unwrap(),
            r#"{"error":"message_send_error","exception":"MessageSendException","timestamp":1748575460150,"duration":3,"error_code":14007,"error_description":"message is too large"}"#
        );
    }

    #[test]
    fn every_status_of_the_http_layers_becomes_an_error() {
        for status in [400, 404, 405, 408, 411, 413, 414, 431, 500, 501, 502, 503, 504] {
            let status = StatusCode::from_u16(status).unwrap();
            let error = RestError::of_status(status);
            assert_eq!(error.status, status);
            assert!(!error.description.is_empty());
        }
    }
}
