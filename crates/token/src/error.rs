/// Why a token could not be made or is not accepted. No text holds any part of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not an AccessToken2, or one that is cut off or damaged.
    #[error("the token is malformed")]
    Malformed,
    /// The content is larger than 64 KiB, or a field longer than 65,535 bytes.
    #[error("the token is too large")]
    TooLarge,
    /// No certificate of the app made this signature.
    #[error("the signature of the token is wrong")]
    WrongSignature,
    /// Issued later than now, by more than the allowed skew.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// The token's life or its privilege's is over.
    #[error("the token has expired")]
    Expired,
    /// Made for longer than 24 hours.
    #[error("the token lives longer than 24 hours")]
    LifeTooLong,
    /// Verified, and gives no privilege for chat.
    #[error("the token has no chat privilege")]
    NoChatPrivilege,
    /// An App ID is 32 hex digits.
    #[error("the App ID is not 32 hex digits")]
    InvalidAppId,
    /// An App Certificate is 32 hex digits.
    #[error("the App Certificate is not 32 hex digits")]
    InvalidCertificate,
}
