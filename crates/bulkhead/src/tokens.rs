//! AccessToken2 as an app's back end builds it.

use bulkhead_model::Entropy;
use bulkhead_token::{SALT_MAX, TokenError, build_chat_app_token, build_chat_user_token};

use crate::Failure;

/// A token that logs one user in; `life_s` seconds from `now_ms` Unix milliseconds.
pub(crate) fn build_user(
    app_id: &str,
    certificate: &str,
    user: &str,
    now_ms: u64,
    life_s: u32,
    entropy: &dyn Entropy,
) -> Result<String, Failure> {
    build_chat_user_token(app_id, certificate, user, seconds(now_ms), life_s, salt(entropy)).map_err(refused)
}

/// A token with app privilege, for REST.
pub(crate) fn build_app(
    app_id: &str,
    certificate: &str,
    now_ms: u64,
    life_s: u32,
    entropy: &dyn Entropy,
) -> Result<String, Failure> {
    build_chat_app_token(app_id, certificate, seconds(now_ms), life_s, salt(entropy)).map_err(refused)
}

/// The token has 32 bits for its time, which last until the year 2106.
fn seconds(ms: u64) -> u32 {
    u32::try_from(ms / 1000).unwrap_or(u32::MAX)
}

fn salt(entropy: &dyn Entropy) -> u32 {
    // The remainder is below SALT_MAX, which is a u32.
    1 + (entropy.next_u64() % u64::from(SALT_MAX)) as u32
}

fn refused(error: TokenError) -> Failure {
    Failure::usage(error.to_string())
}
