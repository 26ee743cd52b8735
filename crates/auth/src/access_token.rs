//! Judges AccessToken2.

use bulkhead_model::{Error, ErrorKind, Result};
use bulkhead_proto::records::App;
use bulkhead_token::{ChatPrivilege, SignedToken, TokenError};

use crate::AuthService;
use crate::authenticate::{Holder, Verdict};

/// By how much an issuer's clock may be ahead of ours, in seconds.
const SKEW_S: u64 = 300;

impl AuthService {
    /// The verdict on an AccessToken2 for an app, before anything is known of its user.
    pub(crate) fn verify_access_token(&self, app: &App, token: &str) -> Result<Verdict> {
        let signed = SignedToken::decode(token).map_err(|_| ErrorKind::Unauthenticated)?;
        let app_id = signed.app_id();
        if !app_id.eq_ignore_ascii_case(&app.app_id) {
            return Err(match self.elsewhere(app_id) {
                wrong_region if wrong_region.kind() == ErrorKind::WrongRegion => wrong_region,
                _ => ErrorKind::Unauthenticated.into(),
            });
        }
        let certificates = [app.certificate_primary.as_str(), app.certificate_secondary.as_str()];
        let grant = signed.verify(&certificates, self.clock.now_ms() / 1000, SKEW_S).map_err(refusal)?;
        let holder = match grant.privilege {
            ChatPrivilege::App => Holder::App,
            ChatPrivilege::User(user) => Holder::User(user),
        };
        Ok(Verdict {
            holder,
            issued_ms: grant.issued_s * 1000,
            // Issue times have seconds: what was issued in the second of a cut counts as issued after it.
            issue_slack_ms: 1000,
            // The issuer's clock may be behind, and it may have made the token just before it registered the user.
            registration_slack_ms: SKEW_S * 1000,
            // The last second still counts.
            expires_ms: (grant.expires_s + 1) * 1000,
        })
    }
}

fn refusal(error: TokenError) -> Error {
    match error {
        TokenError::Expired => ErrorKind::TokenExpired.into(),
        TokenError::Malformed
        | TokenError::TooLarge
        | TokenError::WrongSignature
        | TokenError::NotYetValid
        | TokenError::LifeTooLong
        | TokenError::NoChatPrivilege
        | TokenError::InvalidAppId
        | TokenError::InvalidCertificate => ErrorKind::Unauthenticated.into(),
    }
}
