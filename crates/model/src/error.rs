use std::borrow::Cow;

/// The result of an operation that can fail with an [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! error_kinds {
    ($($(#[$doc:meta])* $kind:ident => $text:literal,)*) => {
        /// What went wrong, as a closed set. Each edge (gRPC, REST, MSYNC) has one table from kind to answer, and a
        /// test that walks [`ErrorKind::ALL`] through it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorKind { $($(#[$doc])* $kind,)* }

        impl ErrorKind {
            /// Every kind.
            pub const ALL: &'static [ErrorKind] = &[$(ErrorKind::$kind,)*];

            /// The stable name that travels between services.
            pub fn name(self) -> &'static str {
                match self { $(ErrorKind::$kind => stringify!($kind),)* }
            }

            /// The words that are used when the error says nothing more exact.
            pub fn text(self) -> &'static str {
                match self { $(ErrorKind::$kind => $text,)* }
            }

            /// Reads a stable name back.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|kind| kind.name() == name)
            }
        }
    };
}

error_kinds! {
    /// A value is malformed, missing or outside its bounds.
    InvalidArgument => "invalid request",
    /// A message, body or frame is over its limit.
    TooLarge => "message is too large",
    /// No credential, or one that is not understood.
    Unauthenticated => "Unable to authenticate (OAuth)",
    /// A credential that was right once.
    TokenExpired => "Unable to authenticate due to expired access token.",
    /// Username or password do not match.
    WrongPassword => "invalid username or password",
    /// The client id or client secret do not match.
    WrongClientSecret => "client_id does not match",
    /// The user exists and is deactivated.
    UserNotActivated => "user not activated",
    /// A user registers without a token while registration is not open.
    RegistrationClosed => "Registration is not open, please contact the app admin.",
    /// The credential is valid and does not allow this.
    PermissionDenied => "Unable to authenticate (OAuth)",
    /// The app is switched off.
    AppForbidden => "Service operation not allowed",
    /// No such app in this region.
    AppNotFound => "Could not find application",
    /// The app lives in another region; the text is that region's name.
    WrongRegion => "this app lives in another region",
    /// No such user.
    UserNotFound => "user not found",
    /// The username is taken.
    UserExists => "user already exists",
    /// No such group, room or thread.
    ChannelNotFound => "group not found",
    /// The id of a new group or room is taken.
    ChannelExists => "group ID already exists!",
    /// The group or room has as many members as it may have.
    ChannelFull => "group member list is full!",
    /// The state of a group or room, or the caller's place in it, does not allow this.
    ChannelForbidden => "forbidden op",
    /// The user is not a member of the channel.
    NotMember => "not in group or chatroom",
    /// The receiver has blocked the sender.
    Blocked => "blocked",
    /// The sender is muted.
    Muted => "user is mute",
    /// No such message, or none that the caller may see.
    MessageNotFound => "Sorry, message does not exist",
    /// The message is too old to be recalled.
    RecallTooLate => "exceed recall time limit",
    /// The app has recall switched off.
    RecallDisabled => "message recall disabled",
    /// The message was edited as often as it may be.
    EditLimitReached => "Sorry, edit limit reached",
    /// A message of this kind cannot be edited.
    EditNotAvailable => "Sorry, edit is not available",
    /// Only the author may do this to a message.
    NotAuthor => "Sorry, You do not have permission",
    /// The caller is over its rate limit.
    RateLimited => "This request has reached API limit.",
    /// A plan limit of the app is reached.
    PlanLimitReached => "resource limited",
    /// The same change is being made by somebody else.
    Conflict => "concurrent operation",
    /// No such attachment.
    AttachmentNotFound => "The file does not exist",
    /// The attachment was kept as long as it had to be.
    AttachmentExpired => "The file has expired",
    /// No such thing, of a kind that has no error of its own.
    NotFound => "Service resource not found",
    /// The call is not built.
    Unimplemented => "this call is not implemented",
    /// This router does not own the channel's slot: another one does, or will in a moment. Nothing was done.
    NotOwner => "service temporarily unavailable",
    /// A service or engine that is needed does not answer.
    Unavailable => "service temporarily unavailable",
    /// The work was not done within its time.
    Timeout => "request timed out",
    /// A defect.
    Internal => "internal error",
}

impl ErrorKind {
    /// An error of this kind with words of its own. The words reach the caller and the log: never put a payload, a
    /// password, a token or a key in them.
    pub fn with(self, message: impl Into<Cow<'static, str>>) -> Error {
        Error { kind: self, message: message.into() }
    }
}

/// An error that any service may answer: a kind that edges match on, and a text for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: Cow<'static, str>,
}

impl Error {
    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The text for people; holds no payload and no secret.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        kind.with(kind.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_reads_back_from_its_name_and_has_words() {
        for kind in ErrorKind::ALL {
            assert_eq!(ErrorKind::from_name(kind.name()), Some(*kind));
            assert!(!Error::from(*kind).message().is_empty());
        }
        assert_eq!(ErrorKind::from_name("Nonsense"), None);
    }
}
