//! What clients are told for each kind of error: one table for logins, one for sends.

use bulkhead_model::{Error, ErrorKind};

use crate::codec::RefusedSend;
use crate::proto::status::ErrorCode;

/// What a client whose login fails is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginRefusal<'a> {
    /// An answer that the client takes as final.
    Answer { code: ErrorCode, reason: &'a str },
    /// No answer, only the end of the connection: every answer would be final to the client (msync.md §2), and this
    /// failure passes.
    ComeBack,
}

/// The answer to a login that failed. The words are those that the SDK compares with (msync.md §2).
pub fn login_refusal(error: &Error) -> LoginRefusal<'_> {
    use ErrorCode::{Fail, ImForbidden, PermissionDenied, Unauthorized, WrongParameter};
    let (code, reason) = match error.kind() {
        ErrorKind::Unauthenticated | ErrorKind::WrongPassword | ErrorKind::WrongClientSecret => {
            (Fail, "Sorry, token or password does not match login info")
        }
        ErrorKind::TokenExpired => (Fail, "Sorry, token expired"),
        ErrorKind::UserNotFound => (Fail, "Sorry, user not found"),
        ErrorKind::RateLimited => (Fail, "Sorry, user register rate limit"),
        ErrorKind::PlanLimitReached => (PermissionDenied, "Sorry, the app online count limit"),
        ErrorKind::UserNotActivated | ErrorKind::AppForbidden => (ImForbidden, error.message()),
        ErrorKind::InvalidArgument | ErrorKind::TooLarge => (WrongParameter, error.message()),
        ErrorKind::PermissionDenied | ErrorKind::Blocked | ErrorKind::Muted => {
            (Unauthorized, error.message())
        }
        // The words name the home of an app that lives elsewhere.
        ErrorKind::WrongRegion
        | ErrorKind::AppNotFound
        | ErrorKind::RegistrationClosed
        | ErrorKind::UserExists
        | ErrorKind::ChannelNotFound
        | ErrorKind::ChannelExists
        | ErrorKind::ChannelFull
        | ErrorKind::ChannelForbidden
        | ErrorKind::NotMember
        | ErrorKind::MessageNotFound
        | ErrorKind::RecallTooLate
        | ErrorKind::RecallDisabled
        | ErrorKind::EditLimitReached
        | ErrorKind::EditNotAvailable
        | ErrorKind::NotAuthor
        | ErrorKind::AttachmentNotFound
        | ErrorKind::AttachmentExpired
        | ErrorKind::NotFound
        | ErrorKind::Unimplemented => (Fail, error.message()),
        ErrorKind::Conflict
        | ErrorKind::NotOwner
        | ErrorKind::Unavailable
        | ErrorKind::Timeout
        | ErrorKind::Internal => {
            return LoginRefusal::ComeBack;
        }
    };
    LoginRefusal::Answer { code, reason }
}

/// The negative acknowledgement of a send. The words are those that the SDK compares with (msync.md §4).
pub fn send_refusal(error: &Error) -> RefusedSend<'_> {
    use ErrorCode::{Fail, ImForbidden, PermissionDenied, Unauthorized};
    let (code, reason) = match error.kind() {
        ErrorKind::Blocked => (Fail, "blocked"),
        ErrorKind::ChannelNotFound => (Fail, "group not found"),
        ErrorKind::ChannelFull => (Fail, "group member list is full!"),
        ErrorKind::NotMember => (Fail, "not in group or chatroom"),
        ErrorKind::RecallTooLate => (Fail, "exceed recall time limit"),
        ErrorKind::RecallDisabled => (Fail, "message recall disabled"),
        ErrorKind::MessageNotFound => (Fail, "Sorry, message does not exist"),
        ErrorKind::NotAuthor | ErrorKind::PermissionDenied | ErrorKind::ChannelForbidden => {
            (Fail, "Sorry, You do not have permission")
        }
        ErrorKind::EditLimitReached => (Fail, "Sorry, edit limit reached"),
        ErrorKind::EditNotAvailable => (Fail, "Sorry, edit is not available"),
        ErrorKind::UserNotFound => (Fail, "username doesn't exist!"),
        ErrorKind::Muted => (PermissionDenied, "user is mute"),
        ErrorKind::RateLimited | ErrorKind::PlanLimitReached => (PermissionDenied, "traffic limit"),
        ErrorKind::TooLarge => (PermissionDenied, "Sorry, data is too large"),
        ErrorKind::AppForbidden | ErrorKind::UserNotActivated => (ImForbidden, error.message()),
        ErrorKind::Unauthenticated
        | ErrorKind::TokenExpired
        | ErrorKind::WrongPassword
        | ErrorKind::WrongClientSecret => (Unauthorized, error.message()),
        ErrorKind::InvalidArgument
        | ErrorKind::RegistrationClosed
        | ErrorKind::AppNotFound
        | ErrorKind::WrongRegion
        | ErrorKind::UserExists
        | ErrorKind::ChannelExists
        | ErrorKind::Conflict
        | ErrorKind::AttachmentNotFound
        | ErrorKind::AttachmentExpired
        | ErrorKind::NotFound
        | ErrorKind::Unimplemented
        | ErrorKind::NotOwner
        | ErrorKind::Unavailable
        | ErrorKind::Timeout
        | ErrorKind::Internal => (Fail, error.message()),
    };
    RefusedSend { code: code.into(), reason }
}

/// What a client is told who joins or leaves a room that is not there: other words than those for a send (msync.md §4).
pub(super) fn missing_room(room: &str) -> String {
    format!("grpID {room} does not exist!")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_error_refuses_a_login_and_a_send() {
        for kind in ErrorKind::ALL {
            let error = Error::from(*kind);
            let refused = send_refusal(&error);
            assert_ne!(refused.code, i32::from(ErrorCode::Ok), "{kind:?}");
            assert!(!refused.reason.is_empty(), "{kind:?}");
            if let LoginRefusal::Answer { code, reason } = login_refusal(&error) {
                assert_ne!(code, ErrorCode::Ok, "{kind:?}");
                assert!(!reason.is_empty(), "{kind:?}");
            }
        }
    }

    #[test]
    fn the_words_are_those_that_the_sdk_compares_with() {
        let login = |kind: ErrorKind| match login_refusal(&kind.into()) {
            LoginRefusal::Answer { code, reason } => (i32::from(code), reason.to_owned()),
            LoginRefusal::ComeBack => (0, String::new()),
        };
        let wrong = (1, "Sorry, token or password does not match login info".to_owned());
        assert_eq!(login(ErrorKind::Unauthenticated), wrong);
        assert_eq!(login(ErrorKind::WrongPassword), wrong);
        assert_eq!(login(ErrorKind::TokenExpired), (1, "Sorry, token expired".into()));
        assert_eq!(login(ErrorKind::UserNotFound), (1, "Sorry, user not found".into()));
        assert_eq!(login(ErrorKind::PlanLimitReached), (7, "Sorry, the app online count limit".into()));
        assert_eq!(login(ErrorKind::UserNotActivated).0, 12);
        assert_eq!(login(ErrorKind::InvalidArgument).0, 4);
        assert_eq!(login(ErrorKind::PermissionDenied).0, 2);

        let send = |kind: ErrorKind| {
            let error = Error::from(kind);
            let refused = send_refusal(&error);
            (refused.code, refused.reason.to_owned())
        };
        for (kind, code, reason) in [
            (ErrorKind::Blocked, 1, "blocked"),
            (ErrorKind::ChannelNotFound, 1, "group not found"),
            (ErrorKind::NotMember, 1, "not in group or chatroom"),
            (ErrorKind::ChannelFull, 1, "group member list is full!"),
            (ErrorKind::ChannelForbidden, 1, "Sorry, You do not have permission"),
            (ErrorKind::RecallTooLate, 1, "exceed recall time limit"),
            (ErrorKind::RecallDisabled, 1, "message recall disabled"),
            (ErrorKind::EditLimitReached, 1, "Sorry, edit limit reached"),
            (ErrorKind::MessageNotFound, 1, "Sorry, message does not exist"),
            (ErrorKind::NotAuthor, 1, "Sorry, You do not have permission"),
            (ErrorKind::EditNotAvailable, 1, "Sorry, edit is not available"),
            (ErrorKind::Muted, 7, "user is mute"),
            (ErrorKind::RateLimited, 7, "traffic limit"),
            (ErrorKind::TooLarge, 7, "Sorry, data is too large"),
        ] {
            assert_eq!(send(kind), (code, reason.to_owned()), "{kind:?}");
        }
        let (code, reason) = send(ErrorKind::UserNotFound);
        assert!(code == 1 && reason.contains("username") && reason.contains("doesn't exist!"));
    }
}
