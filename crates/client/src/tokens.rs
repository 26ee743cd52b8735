use std::sync::Arc;

use bulkhead_model::{AppId, Clock, Entropy};
use bulkhead_token::{LIFE_S_MAX, SALT_MAX, build_chat_app_token, build_chat_user_token};

use crate::ClientError;

/// Makes AccessToken2 for one app, offline, as the app's back end does. Holds the App Certificate, so it has no `Debug`.
pub struct TokenBuilder {
    app_id: String,
    certificate: String,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl TokenBuilder {
    /// `certificate` is the primary or secondary App Certificate, 32 hex digits.
    pub fn new(app_id: &AppId, certificate: &str, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self { app_id: app_id.as_str().to_owned(), certificate: certificate.to_owned(), clock, entropy }
    }

    /// A token with which `user` logs in, good for `life_s` seconds, at most 24 hours. `Invalid` when an argument or
    /// the certificate is malformed.
    pub fn user_token(&self, user: &str, life_s: u32) -> Result<String, ClientError> {
        build_chat_user_token(
            &self.app_id,
            &self.certificate,
            user,
            self.now_s(),
            life_s.min(LIFE_S_MAX),
            self.salt(),
        )
        .map_err(|error| ClientError::Invalid(error.to_string()))
    }

    /// A token with app privilege for REST. Errors as [`Self::user_token`].
    pub fn app_token(&self, life_s: u32) -> Result<String, ClientError> {
        build_chat_app_token(
            &self.app_id,
            &self.certificate,
            self.now_s(),
            life_s.min(LIFE_S_MAX),
            self.salt(),
        )
        .map_err(|error| ClientError::Invalid(error.to_string()))
    }

    /// The token has 32 bits for its time, which last until the year 2106.
    fn now_s(&self) -> u32 {
        u32::try_from(self.clock.now_ms() / 1000).unwrap_or(u32::MAX)
    }

    fn salt(&self) -> u32 {
        // The remainder is below SALT_MAX, which is a u32.
        1 + (self.entropy.next_u64() % u64::from(SALT_MAX)) as u32
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_model::{ManualClock, SeededEntropy};
    use bulkhead_token::SignedToken;

    use super::*;

    #[test]
    fn what_it_makes_can_be_read() {
        let app_id: AppId = "970CA35de60c44645bbae8a215061b33".parse().unwrap();
        let clock = Arc::new(ManualClock::at(1_800_000_000_000));
        let builder = TokenBuilder::new(
            &app_id,
            "5CFd2fd1755d40ecb72977518be15d3b",
            clock,
            Arc::new(SeededEntropy::new(1)),
        );
        for token in [builder.user_token("alice", 60).unwrap(), builder.app_token(u32::MAX).unwrap()] {
            assert!(SignedToken::decode(&token).is_ok());
        }
    }

    #[test]
    fn a_malformed_certificate_is_an_error_that_does_not_show_it() {
        let app_id: AppId = "970CA35de60c44645bbae8a215061b33".parse().unwrap();
        let clock = Arc::new(ManualClock::at(1_800_000_000_000));
        let builder =
            TokenBuilder::new(&app_id, "certificate-canary", clock, Arc::new(SeededEntropy::new(1)));
        let error = builder.user_token("alice", 60).unwrap_err();
        assert!(!error.to_string().contains("canary"));
    }
}
