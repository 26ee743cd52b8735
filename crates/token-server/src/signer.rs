//! Signs tokens with the newest certificate that the region is known to accept.
//!
//! A rotation has no gap: the new certificate becomes the primary one here and the old one the secondary one, before or
//! after the region knows the new one. While the region refuses what the primary one signs, the secondary one signs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bulkhead_client::TokenBuilder;
use bulkhead_model::{AppId, Clock, Entropy, ErrorKind, Result};
use parking_lot::{Mutex, RwLock};

use crate::AppCertificates;

/// The token server's hand; it can be given new certificates while it signs.
pub struct Signer {
    app_id: AppId,
    app_token_life_s: u32,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    signing: RwLock<Arc<Signing>>,
}

/// A token and when it ends. Holds a credential, so it has no `Debug`.
#[derive(Clone)]
pub(crate) struct SignedToken {
    pub(crate) token: String,
    /// Unix seconds.
    pub(crate) expires_s: u64,
}

/// Certificates in use, and what they have signed for the app itself.
pub(crate) struct Signing {
    /// One for each certificate, the primary one first.
    builders: Vec<Builder>,
    /// Which of them signs.
    active: AtomicUsize,
    app_token_life_s: u32,
    clock: Arc<dyn Clock>,
}

struct Builder {
    tokens: TokenBuilder,
    app_token: Mutex<Option<SignedToken>>,
}

impl Signer {
    /// `app_token_life_s` is how long tokens of the app itself live, in seconds.
    pub fn new(
        app_id: AppId,
        certificates: &AppCertificates,
        app_token_life_s: u32,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Arc<Self> {
        let signing = Signing::new(&app_id, certificates, app_token_life_s, &clock, &entropy);
        Arc::new(Self { app_id, app_token_life_s, clock, entropy, signing: RwLock::new(Arc::new(signing)) })
    }

    /// Signs with other certificates from now on; tokens that the old ones signed live on.
    pub fn replace(&self, certificates: &AppCertificates) {
        let signing =
            Signing::new(&self.app_id, certificates, self.app_token_life_s, &self.clock, &self.entropy);
        *self.signing.write() = Arc::new(signing);
    }

    /// What signs at this instant.
    pub(crate) fn current(&self) -> Arc<Signing> {
        self.signing.read().clone()
    }
}

impl Signing {
    fn new(
        app_id: &AppId,
        certificates: &AppCertificates,
        app_token_life_s: u32,
        clock: &Arc<dyn Clock>,
        entropy: &Arc<dyn Entropy>,
    ) -> Self {
        let builder = |certificate: &str| Builder {
            tokens: TokenBuilder::new(app_id, certificate, clock.clone(), entropy.clone()),
            app_token: Mutex::default(),
        };
        Self {
            builders: certificates.in_order().map(builder).collect(),
            active: AtomicUsize::new(0),
            app_token_life_s,
            clock: clock.clone(),
        }
    }

    /// A token with which `username` logs in, good for `life_s` seconds.
    pub(crate) fn user_token(&self, username: &str, life_s: u32) -> Result<SignedToken> {
        let expires_s = self.now_s() + u64::from(life_s);
        let token = self.builder(self.active())?.tokens.user_token(username, life_s).map_err(unsigned)?;
        Ok(SignedToken { token, expires_s })
    }

    /// A token with app privilege: the same one until half of its life is over.
    pub(crate) fn app_token(&self) -> Result<SignedToken> {
        self.app_token_of(self.active())
    }

    /// The same, signed by one certificate.
    pub(crate) fn app_token_of(&self, index: usize) -> Result<SignedToken> {
        let builder = self.builder(index)?;
        let now_s = self.now_s();
        let life_s = u64::from(self.app_token_life_s);
        let mut kept = builder.app_token.lock();
        if let Some(token) = kept.as_ref().filter(|token| token.expires_s > now_s + life_s / 2) {
            return Ok(token.clone());
        }
        let token = builder.tokens.app_token(self.app_token_life_s).map_err(unsigned)?;
        let token = SignedToken { token, expires_s: now_s + life_s };
        *kept = Some(token.clone());
        Ok(token)
    }

    /// How many certificates there are.
    pub(crate) fn count(&self) -> usize {
        self.builders.len()
    }

    /// Which certificate signs.
    pub(crate) fn active(&self) -> usize {
        self.active.load(Ordering::Acquire)
    }

    /// Has a certificate sign from now on; answers whether another one did.
    pub(crate) fn activate(&self, index: usize) -> bool {
        self.active.swap(index, Ordering::AcqRel) != index
    }

    fn builder(&self, index: usize) -> Result<&Builder> {
        self.builders.get(index).ok_or_else(|| ErrorKind::Internal.with("there is no such certificate"))
    }

    fn now_s(&self) -> u64 {
        self.clock.now_ms() / 1000
    }
}

/// Certificates were checked when they came, so what is left is a name that does not fit into a token.
fn unsigned(error: bulkhead_client::ClientError) -> bulkhead_model::Error {
    tracing::error!(%error, "a token cannot be signed");
    ErrorKind::Internal.with("a token cannot be signed")
}

#[cfg(test)]
mod tests {
    use bulkhead_model::{ManualClock, SeededEntropy};
    use bulkhead_token::{ChatPrivilege, SignedToken as Decoded};
    use zeroize::Zeroizing;

    use super::*;

    const NOW_S: u64 = 1_800_000_000;
    const ONE: &str = "5CFd2fd1755d40ecb72977518be15d3b";
    const OTHER: &str = "0123456789abcdef0123456789abcdef";

    fn certificates(primary: &str, secondary: Option<&str>) -> AppCertificates {
        let text = |text: &str| Zeroizing::new(text.to_owned());
        AppCertificates::new(text(primary), secondary.map(text)).unwrap()
    }

    fn signer(clock: &Arc<ManualClock>, certificates: &AppCertificates) -> Arc<Signer> {
        let app_id = "970CA35de60c44645bbae8a215061b33".parse().unwrap();
        Signer::new(app_id, certificates, 3600, clock.clone(), Arc::new(SeededEntropy::new(1)))
    }

    fn is_signed_by(token: &str, certificate: &str) -> bool {
        Decoded::decode(token).unwrap().verify(&[certificate], NOW_S, 0).is_ok()
    }

    #[test]
    fn a_user_token_names_the_user_and_ends_when_it_says() {
        let clock = Arc::new(ManualClock::at(NOW_S * 1000));
        let signed = signer(&clock, &certificates(ONE, None)).current().user_token("u1", 600).unwrap();
        let grant = Decoded::decode(&signed.token).unwrap().verify(&[ONE], NOW_S, 0).unwrap();
        assert_eq!(grant.privilege, ChatPrivilege::User("u1".to_owned()));
        assert_eq!((grant.expires_s, signed.expires_s), (NOW_S + 600, NOW_S + 600));
    }

    #[test]
    fn an_app_token_is_kept_until_half_of_its_life_is_over() {
        let clock = Arc::new(ManualClock::at(NOW_S * 1000));
        let signing = signer(&clock, &certificates(ONE, None)).current();
        let first = signing.app_token().unwrap();
        clock.advance_ms(1_799_000);
        assert_eq!(signing.app_token().unwrap().token, first.token);
        clock.advance_ms(1000);
        let second = signing.app_token().unwrap();
        assert_ne!(second.token, first.token);
        assert_eq!(second.expires_s, first.expires_s + 1800);
    }

    #[test]
    fn the_primary_signs_unless_the_other_was_told_to_and_a_new_one_signs_at_once() {
        let clock = Arc::new(ManualClock::at(NOW_S * 1000));
        let signer = signer(&clock, &certificates(ONE, Some(OTHER)));
        let signing = signer.current();
        assert!(is_signed_by(&signing.app_token().unwrap().token, ONE));
        assert!(signing.activate(1));
        assert!(is_signed_by(&signing.user_token("u1", 60).unwrap().token, OTHER));
        assert!(is_signed_by(&signing.app_token().unwrap().token, OTHER));
        signer.replace(&certificates(OTHER, Some(ONE)));
        assert!(is_signed_by(&signer.current().app_token().unwrap().token, OTHER));
        assert_eq!(signer.current().active(), 0);
    }
}
