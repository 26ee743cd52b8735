use bulkhead_model::{Error, ErrorKind};
use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

/// The metadata key that carries [`ErrorKind::name`].
pub const ERROR_KIND_HEADER: &str = "bulkhead-error-kind";

/// The gRPC code of a kind. The code is for people and proxies; services read the kind from the metadata.
fn code_of(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::InvalidArgument | ErrorKind::TooLarge => Code::InvalidArgument,
        ErrorKind::Unauthenticated
        | ErrorKind::TokenExpired
        | ErrorKind::WrongPassword
        | ErrorKind::WrongClientSecret => Code::Unauthenticated,
        ErrorKind::UserNotActivated
        | ErrorKind::RegistrationClosed
        | ErrorKind::PermissionDenied
        | ErrorKind::AppForbidden
        | ErrorKind::NotMember
        | ErrorKind::ChannelForbidden
        | ErrorKind::Blocked
        | ErrorKind::Muted
        | ErrorKind::NotAuthor => Code::PermissionDenied,
        ErrorKind::AppNotFound
        | ErrorKind::UserNotFound
        | ErrorKind::ChannelNotFound
        | ErrorKind::MessageNotFound
        | ErrorKind::AttachmentNotFound
        | ErrorKind::AttachmentExpired
        | ErrorKind::NotFound => Code::NotFound,
        ErrorKind::UserExists | ErrorKind::ChannelExists => Code::AlreadyExists,
        ErrorKind::WrongRegion
        | ErrorKind::RecallTooLate
        | ErrorKind::RecallDisabled
        | ErrorKind::EditLimitReached
        | ErrorKind::EditNotAvailable => Code::FailedPrecondition,
        ErrorKind::RateLimited | ErrorKind::PlanLimitReached | ErrorKind::ChannelFull => {
            Code::ResourceExhausted
        }
        ErrorKind::Conflict => Code::Aborted,
        ErrorKind::Unimplemented => Code::Unimplemented,
        ErrorKind::NotOwner | ErrorKind::Unavailable => Code::Unavailable,
        ErrorKind::Timeout => Code::DeadlineExceeded,
        ErrorKind::Internal => Code::Internal,
    }
}

/// What a status means when it was not made by a Bulkhead service but by the transport between them.
fn kind_of(code: Code) -> ErrorKind {
    match code {
        Code::DeadlineExceeded => ErrorKind::Timeout,
        // Larger than the receiving end takes.
        Code::OutOfRange => ErrorKind::TooLarge,
        Code::Unimplemented => ErrorKind::Unimplemented,
        // A broken connection shows as any of these, depending on where it broke.
        Code::Unavailable
        | Code::Unknown
        | Code::Cancelled
        | Code::Aborted
        | Code::ResourceExhausted
        | Code::Internal => ErrorKind::Unavailable,
        _ => ErrorKind::Internal,
    }
}

/// How an error travels: its kind by name in the metadata, its text as the message.
pub fn status_from_error(error: &Error) -> Status {
    let mut status = Status::new(code_of(error.kind()), error.message());
    status.metadata_mut().insert(ERROR_KIND_HEADER, MetadataValue::from_static(error.kind().name()));
    status
}

/// Reads an error back. What the transport itself says is for the log alone: an edge would show it to clients.
pub fn error_from_status(status: &Status) -> Error {
    let named = status.metadata().get(ERROR_KIND_HEADER).and_then(|name| name.to_str().ok());
    match named.and_then(ErrorKind::from_name) {
        Some(kind) => kind.with(status.message().to_owned()),
        None => {
            let kind = kind_of(status.code());
            tracing::debug!(code = ?status.code(), message = status.message(), "a call failed in transport");
            kind.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_error_survives_the_way_there_and_back() {
        for kind in ErrorKind::ALL {
            let error = kind.with("words of its own, also with ü and %");
            let status = status_from_error(&error);
            assert_ne!(status.code(), Code::Ok);
            assert_eq!(error_from_status(&status), error);
        }
    }

    #[test]
    fn a_status_of_the_transport_becomes_unavailable_or_timeout_and_keeps_its_words_to_itself() {
        for (code, kind) in [
            (Code::Unavailable, ErrorKind::Unavailable),
            (Code::Unknown, ErrorKind::Unavailable),
            (Code::Cancelled, ErrorKind::Unavailable),
            (Code::DeadlineExceeded, ErrorKind::Timeout),
            (Code::OutOfRange, ErrorKind::TooLarge),
            (Code::Unimplemented, ErrorKind::Unimplemented),
            (Code::Internal, ErrorKind::Unavailable),
            (Code::DataLoss, ErrorKind::Internal),
        ] {
            assert_eq!(error_from_status(&Status::new(code, "tcp connect error")), kind.into());
        }
    }
}
