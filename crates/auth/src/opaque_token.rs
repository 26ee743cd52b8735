//! Opaque tokens: random text of which only the hash is kept.

use bulkhead_model::{AppUuid, ErrorKind, Result, limits::OPAQUE_TOKEN_LIFE_S_DEFAULT};
use bulkhead_proto::records::Token;
use bulkhead_store::Mutation;
use bytes::Bytes;

use crate::access_token::REGISTRATION_SLACK_S;
use crate::authenticate::{Holder, Verdict, hash_of};
use crate::standing::Facts;
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
    /// Makes a token for a user, or for the app (`username` empty). `expires_ms` 0 is never. One that is given for an
    /// AccessToken2 has that token's `source` facts and ends with it. Answers its text.
    pub(crate) async fn issue(
        &self,
        app: AppUuid,
        username: &str,
        issued_ms: u64,
        expires_ms: u64,
        source: Option<&Facts>,
    ) -> Result<String> {
        let text = format!("{PREFIX}{}", self.random_text::<32>());
        let bytes = |part: Option<&[u8]>| part.map(Bytes::copy_from_slice).unwrap_or_default();
        let record = Token {
            username: username.to_owned(),
            issued_ms: source.map_or(issued_ms, |source| source.issued_ms),
            expires_ms,
            source: bytes(source.and_then(|source| source.token.as_ref()).map(|hash| &hash[..])),
            certificate: bytes(source.and_then(|source| source.certificate.as_ref()).map(|print| &print[..])),
        };
        let mut put = rows::put(rows::token(app, &hash_of(&text)), &record);
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
    pub(crate) async fn verify_opaque(&self, app: AppUuid, text: &str, hash: [u8; 32]) -> Result<Verdict> {
        if !text.starts_with(PREFIX) || text.len() > TEXT_BYTES_MAX {
            return Err(ErrorKind::Unauthenticated.into());
        }
        let record: Token =
            rows::read(&*self.store, rows::token(app, &hash)).await?.ok_or(ErrorKind::Unauthenticated)?;
        let source: Option<[u8; 32]> = record.source[..].try_into().ok();
        if let Some(source) = source
            && self.store.get(rows::revoked_token(app, &source)).await?.is_some()
        {
            return Err(ErrorKind::TokenExpired.into());
        }
        let holder = if record.username.is_empty() { Holder::App } else { Holder::User(record.username) };
        Ok(Verdict {
            holder,
            facts: Facts {
                token: Some(hash),
                source,
                issued_ms: record.issued_ms,
                certificate: record.certificate[..].try_into().ok(),
            },
            registration_slack_ms: if source.is_some() { REGISTRATION_SLACK_S * 1000 } else { 0 },
            life_s: None,
            expires_ms: if record.expires_ms == 0 { u64::MAX } else { record.expires_ms },
        })
    }
}
