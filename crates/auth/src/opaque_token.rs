//! Opaque tokens: random text of which only the hash is kept.

use bulkhead_model::{AppUuid, ErrorKind, Result, limits::OPAQUE_TOKEN_LIFE_S_DEFAULT};
use bulkhead_proto::auth::RevokeTokenRequest;
use bulkhead_proto::records::Token;
use bulkhead_store::Mutation;
use sha2::{Digest, Sha256};

use crate::authenticate::{Holder, Verdict, verdict_key};
use crate::{AuthService, rows};

/// What the text of every opaque token starts with (features.md §6.8).
const PREFIX: &str = "YWMt";

/// Longest text that is looked up.
const TEXT_BYTES_MAX: usize = 256;

/// Longest life that can be asked for, in seconds: what fits the clients' signed 32-bit number.
const LIFE_S_MAX: u64 = i32::MAX as u64;

/// How long a token's row outlives the token, in milliseconds: whoever comes with it is told that it has expired, and
/// not that it never was.
const KEPT_AFTER_EXPIRY_MS: u64 = 24 * 60 * 60 * 1000;

impl AuthService {
    /// Makes a token for a user, or for the app (`username` empty). `expires_ms` 0 is never. Answers its text.
    pub(crate) async fn issue(
        &self,
        app: AppUuid,
        username: &str,
        issued_ms: u64,
        expires_ms: u64,
    ) -> Result<String> {
        let text = format!("{PREFIX}{}", self.random_text::<32>());
        let record = Token { username: username.to_owned(), issued_ms, expires_ms };
        let mut put = rows::put(rows::token(app, &hash(&text)), &record);
        put.expires_in_ms =
            (expires_ms != 0).then(|| expires_ms.saturating_sub(self.clock.now_ms()) + KEPT_AFTER_EXPIRY_MS);
        self.store.write(vec![Mutation::Put(put)]).await?;
        Ok(text)
    }

    /// When a token of this `ttl` ends, in Unix milliseconds (features.md §3.1: absent is 60 days, 0 is never).
    pub(crate) fn expiry_of(&self, ttl_s: Option<u64>) -> u64 {
        match ttl_s.unwrap_or(OPAQUE_TOKEN_LIFE_S_DEFAULT) {
            0 => 0,
            life_s => self.clock.now_ms() + life_s.min(LIFE_S_MAX) * 1000,
        }
    }

    /// The verdict on an opaque token.
    pub(crate) async fn verify_opaque(&self, app: AppUuid, text: &str) -> Result<Verdict> {
        if !text.starts_with(PREFIX) || text.len() > TEXT_BYTES_MAX {
            return Err(ErrorKind::Unauthenticated.into());
        }
        let record: Token = rows::read(&*self.store, rows::token(app, &hash(text)))
            .await?
            .ok_or(ErrorKind::Unauthenticated)?;
        let holder = if record.username.is_empty() { Holder::App } else { Holder::User(record.username) };
        let expires_ms = if record.expires_ms == 0 { u64::MAX } else { record.expires_ms };
        Ok(Verdict {
            holder,
            issued_ms: record.issued_ms,
            issue_slack_ms: 0,
            registration_slack_ms: 0,
            expires_ms,
        })
    }

    pub(crate) async fn revoke_opaque(&self, request: RevokeTokenRequest) -> Result<()> {
        let uuid = AppUuid::from_slice(&request.app)?;
        let app = self.app(uuid).await?;
        self.store.write(vec![Mutation::Delete(rows::token(uuid, &hash(&request.token)))]).await?;
        self.verdicts.invalidate(&verdict_key(&app, &request.token));
        Ok(())
    }
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}
