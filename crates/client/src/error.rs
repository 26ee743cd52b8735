/// What a call of this crate can end with. The texts hold no payload, password or token.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server said no on the socket: a `Status.ErrorCode` and the words that SDKs match on (msync.md §2, §4).
    #[error("refused: {reason} (code {code})")]
    Refused { code: i32, reason: String },
    /// The server said no over REST (features.md §5).
    #[error("HTTP {status}: {error}: {description}")]
    Rest { status: u16, error: String, description: String },
    /// No connection could be made, or it broke.
    #[error("no connection: {0}")]
    Connection(String),
    /// The server did not answer in time; what was asked may have happened.
    #[error("no answer within {0} s")]
    Timeout(u64),
    /// The connection ended, and is not made again.
    #[error("the connection has ended")]
    Closed,
    /// More messages wait for their acknowledgement than may.
    #[error("too many messages wait for their acknowledgement")]
    Full,
    /// An answer that this client does not understand.
    #[error("an answer that is not understood: {0}")]
    Malformed(&'static str),
    /// An address, name or file that cannot be used.
    #[error("{0}")]
    Invalid(String),
}

impl ClientError {
    /// Whether the same login would be refused again, so that trying once more is pointless.
    pub fn is_final(&self) -> bool {
        match self {
            ClientError::Refused { .. } | ClientError::Closed | ClientError::Invalid(_) => true,
            // A gateway that is starting or draining answers 503, one under load 429 or a timeout.
            ClientError::Rest { status, .. } => (400..500).contains(status) && !matches!(status, 408 | 429),
            ClientError::Connection(_)
            | ClientError::Timeout(_)
            | ClientError::Full
            | ClientError::Malformed(_) => false,
        }
    }
}
