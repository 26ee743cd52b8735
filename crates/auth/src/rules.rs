//! The rules that an app has for its tokens and certificates, with their defaults and bounds.

use bulkhead_model::limits::ACCESS_TOKEN_LIFE_S_MAX;
use bulkhead_model::{ErrorKind, Result};
use bulkhead_proto::records::App;
use sha2::{Digest, Sha256};

/// By how much an issuer's clock may be ahead unless the app says otherwise, in seconds.
const SKEW_S_DEFAULT: u32 = 5;

/// By how much an app may allow it to be, in seconds.
pub(crate) const SKEW_S_MAX: u32 = 300;

/// The shortest largest life that an app can set, in seconds: less leaves no time to log in.
const LIFE_S_MIN: u32 = 60;

/// For how long the certificate that was the primary is accepted after a swap unless it is said otherwise, in seconds: as
/// long as a token can live that it signed the moment before.
pub(crate) const OVERLAP_S_DEFAULT: u32 = ACCESS_TOKEN_LIFE_S_MAX;

/// For how long it can be, in seconds.
const OVERLAP_S_MAX: u32 = 30 * 24 * 60 * 60;

/// Bytes of a certificate's fingerprint.
pub(crate) const FINGERPRINT_BYTES: usize = 8;

/// The largest life of an AccessToken2 that the app accepts, in seconds.
pub fn token_life_s_max(app: &App) -> u32 {
    if app.token_life_max_s == 0 { ACCESS_TOKEN_LIFE_S_MAX } else { app.token_life_max_s }
}

/// By how much the clock of a token's issuer may be ahead of this service's, in seconds.
pub fn token_skew_s(app: &App) -> u32 {
    app.token_skew_s.unwrap_or(SKEW_S_DEFAULT)
}

/// The certificates whose tokens the app accepts at an instant.
pub(crate) fn accepted_certificates(app: &App, now_ms: u64) -> impl Iterator<Item = &str> {
    let primary = Some(app.certificate_primary.as_str());
    let secondary = accepts_secondary(app, now_ms).then_some(app.certificate_secondary.as_str());
    [primary, secondary].into_iter().flatten()
}

/// Whether tokens of the secondary certificate count at an instant.
pub fn accepts_secondary(app: &App, now_ms: u64) -> bool {
    !app.certificate_secondary.is_empty() && (app.secondary_until_ms == 0 || now_ms < app.secondary_until_ms)
}

/// What names a certificate without telling it: the first bytes of its SHA-256.
pub(crate) fn fingerprint(certificate: &str) -> [u8; FINGERPRINT_BYTES] {
    let mut fingerprint = [0; FINGERPRINT_BYTES];
    fingerprint.copy_from_slice(&Sha256::digest(certificate)[..FINGERPRINT_BYTES]);
    fingerprint
}

pub(crate) fn check_life(life_s_max: u32) -> Result<u32> {
    match life_s_max {
        0 | LIFE_S_MIN..=ACCESS_TOKEN_LIFE_S_MAX => Ok(life_s_max),
        _ => Err(ErrorKind::InvalidArgument.with("the largest life of a token is 60 to 86400 seconds")),
    }
}

pub(crate) fn check_skew(skew_s: u32) -> Result<u32> {
    match skew_s {
        0..=SKEW_S_MAX => Ok(skew_s),
        _ => Err(ErrorKind::InvalidArgument.with("the clock skew is at most 300 seconds")),
    }
}

pub(crate) fn check_overlap(overlap_s: u32) -> Result<u32> {
    match overlap_s {
        0..=OVERLAP_S_MAX => Ok(overlap_s),
        _ => Err(ErrorKind::InvalidArgument.with("a certificate is accepted at most 30 days longer")),
    }
}
