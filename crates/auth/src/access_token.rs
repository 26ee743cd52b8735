//! Judges AccessToken2.

use bulkhead_model::limits::ACCESS_TOKEN_LIFE_S_MAX;
use bulkhead_model::{AppUuid, Error, ErrorKind, Result};
use bulkhead_proto::records::App;
use bulkhead_token::{ChatPrivilege, SignedToken, TokenError};

use crate::AuthService;
use crate::authenticate::{Holder, Verdict};
use crate::rules::{self, SKEW_S_MAX};
use crate::standing::Facts;

/// How long before its user was registered a token may have been issued, in seconds: the issuer's clock may be behind, and
/// it may have made the token just before it registered the user.
pub(crate) const REGISTRATION_SLACK_S: u64 = 300;

impl AuthService {
    /// The verdict on an AccessToken2 for an app, before anything is known of its user and whatever the app's rules are.
    pub(crate) async fn verify_access_token(
        &self,
        uuid: AppUuid,
        app: &App,
        token: &str,
        hash: [u8; 32],
    ) -> Result<Verdict> {
        let signed = SignedToken::decode(token).map_err(|_| ErrorKind::Unauthenticated)?;
        let app_id = signed.app_id();
        if !app_id.eq_ignore_ascii_case(&app.app_id) {
            return Err(match self.elsewhere(app_id) {
                wrong_region if wrong_region.kind() == ErrorKind::WrongRegion => wrong_region,
                _ => ErrorKind::Unauthenticated.into(),
            });
        }
        let now_ms = self.clock.now_ms();
        let mut refused = TokenError::WrongSignature;
        for certificate in rules::accepted_certificates(app, now_ms) {
            match signed.verify(&[certificate], now_ms / 1000, u64::from(SKEW_S_MAX)) {
                Ok(grant) => {
                    if self.store.get(crate::rows::revoked_token(uuid, &hash)).await?.is_some() {
                        return Err(ErrorKind::TokenExpired.into());
                    }
                    return Ok(Verdict {
                        holder: match grant.privilege {
                            ChatPrivilege::App => Holder::App,
                            ChatPrivilege::User(user) => Holder::User(user),
                        },
                        facts: Facts {
                            token: Some(hash),
                            source: None,
                            issued_ms: grant.issued_s * 1000,
                            certificate: Some(rules::fingerprint(certificate)),
                        },
                        registration_slack_ms: REGISTRATION_SLACK_S * 1000,
                        life_s: Some(grant.expires_s - grant.issued_s),
                        // The last second still counts.
                        expires_ms: (grant.expires_s + 1) * 1000,
                    });
                }
                Err(TokenError::WrongSignature) => {}
                Err(error) => refused = error,
            }
        }
        Err(refusal(refused))
    }
}

impl Verdict {
    /// Whether the token is within the app's rules now: its life, its issuer's clock, its end.
    pub(crate) fn check_rules(&self, app: &App, now_ms: u64) -> Result<()> {
        if let Some(life_s) = self.life_s {
            let ahead_ms = self.facts.issued_ms.saturating_sub(now_ms / 1000 * 1000);
            if life_s > u64::from(rules::token_life_s_max(app))
                || ahead_ms > u64::from(rules::token_skew_s(app)) * 1000
            {
                return Err(ErrorKind::Unauthenticated.into());
            }
        }
        if self.expires_ms <= now_ms { Err(ErrorKind::TokenExpired.into()) } else { Ok(()) }
    }
}

/// How long the mark of a revoked token is kept, in milliseconds: longer than any token lives.
pub(crate) const REVOKED_KEPT_MS: u64 = (ACCESS_TOKEN_LIFE_S_MAX as u64 + SKEW_S_MAX as u64 + 3600) * 1000;

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
