/// What the text of every AccessToken2 starts with (§6.1).
pub const PREFIX: &str = "007";

/// Largest content of a token after inflation, in bytes: the guard against compression bombs (§6.6).
pub const CONTENT_BYTES_MAX: usize = 64 * 1024;

/// Longest life of a token that is accepted, in seconds (§3.1: 24 hours).
pub const LIFE_S_MAX: u32 = 24 * 60 * 60;

/// The largest salt that the published builders draw; the smallest is 1 (§6.2). Any salt verifies.
pub const SALT_MAX: u32 = 99_999_999;

/// Longest text that can hold a content of [`CONTENT_BYTES_MAX`]: deflate adds at most a few bytes for each block that
/// it cannot shrink, base64 a third.
pub(crate) const TEXT_BYTES_MAX: usize = CONTENT_BYTES_MAX / 3 * 4 + 1024;

/// Bytes of a signature (§6.4).
pub(crate) const SIGNATURE_BYTES: usize = 32;

/// Whether `text` has the form of an App ID or App Certificate: 32 hex digits (§6.1).
pub(crate) fn is_32_hex_digits(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
