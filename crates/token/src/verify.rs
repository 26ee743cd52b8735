use hmac::Mac;

use crate::limits::is_32_hex_digits;
use crate::signature::signature;
use crate::{
    AccessToken, LIFE_S_MAX, PRIVILEGE_CHAT_APP, PRIVILEGE_CHAT_USER, Service, ServiceKind, SignedToken,
    TokenError,
};

/// What a verified token allows in chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatGrant {
    /// As the token has it; its case may differ from the app's record.
    pub app_id: String,
    /// Unix seconds.
    pub issued_s: u64,
    /// Unix seconds: the end of the token or of the privilege, whichever comes first. Valid in that second still.
    pub expires_s: u64,
    pub privilege: ChatPrivilege,
}

/// For whom a token speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChatPrivilege {
    /// A user: a username, or the text form of a registration UUID (§6.6, step 6).
    User(String),
    /// The app itself.
    App,
}

impl SignedToken {
    /// Judges the token against the app's certificates, in turn (§6.6, steps 3 to 6).
    ///
    /// `certificates` are the primary and, when there is one, the secondary; what is not 32 hex digits is passed over,
    /// so that a certificate that does not exist cannot verify anything. `now_s` is Unix seconds, `skew_s` by how much
    /// the issuer's clock may be ahead. The signature is judged first: the other errors (`NotYetValid`, `LifeTooLong`,
    /// `Expired`, `NoChatPrivilege`) are only ever told to the owner of a genuine token.
    ///
    /// A token with several Chat privileges speaks for the user that it names, which is the lesser privilege.
    pub fn verify(&self, certificates: &[&str], now_s: u64, skew_s: u64) -> Result<ChatGrant, TokenError> {
        if !certificates.iter().any(|certificate| self.is_signed_with(certificate)) {
            return Err(TokenError::WrongSignature);
        }
        let token = &self.token;
        let issued_s = u64::from(token.issued_s);
        if issued_s > now_s.saturating_add(skew_s) {
            return Err(TokenError::NotYetValid);
        }
        if token.life_s > LIFE_S_MAX {
            return Err(TokenError::LifeTooLong);
        }
        let mut expired = token.expires_s(0) < now_s;
        for (privilege, life_s) in token.chat_privileges() {
            let expires_s = token.expires_s(life_s);
            if expires_s >= now_s {
                return Ok(ChatGrant { app_id: token.app_id.clone(), issued_s, expires_s, privilege });
            }
            expired = true;
        }
        Err(if expired { TokenError::Expired } else { TokenError::NoChatPrivilege })
    }

    fn is_signed_with(&self, certificate: &str) -> bool {
        is_32_hex_digits(certificate)
            && signature(certificate, self.token.issued_s, self.token.salt, &self.signing_info)
                .verify_slice(&self.signature)
                .is_ok()
    }
}

impl AccessToken {
    /// When a privilege of this life ends; 0 is the token's own life.
    fn expires_s(&self, privilege_life_s: u32) -> u64 {
        let life_s = if privilege_life_s == 0 { self.life_s } else { self.life_s.min(privilege_life_s) };
        u64::from(self.issued_s) + u64::from(life_s)
    }

    /// Every usable Chat privilege with its life, the users' before the app's.
    fn chat_privileges(&self) -> impl Iterator<Item = (ChatPrivilege, u32)> {
        let users = self.services.iter().filter_map(user_privilege);
        users.chain(self.services.iter().filter_map(app_privilege))
    }
}

fn user_privilege(service: &Service) -> Option<(ChatPrivilege, u32)> {
    match &service.kind {
        ServiceKind::Chat { user_id } if !user_id.is_empty() => {
            let life_s = service.privileges.get(&PRIVILEGE_CHAT_USER)?;
            Some((ChatPrivilege::User(user_id.clone()), *life_s))
        }
        _ => None,
    }
}

fn app_privilege(service: &Service) -> Option<(ChatPrivilege, u32)> {
    match service.kind {
        ServiceKind::Chat { .. } => Some((ChatPrivilege::App, *service.privileges.get(&PRIVILEGE_CHAT_APP)?)),
        _ => None,
    }
}
