//! Takes tokens back: one, all of a user, all of an app. Each is durable before it is told, and told before it is
//! acknowledged.

use bulkhead_model::{AppUuid, ErrorKind, Result};
use bulkhead_proto::auth::{RevokeAppTokensRequest, RevokeTokenRequest, UserRequest};
use bulkhead_proto::records::{AuthChange, RevokedToken};
use bulkhead_store::Mutation;
use bytes::Bytes;

use crate::access_token::REVOKED_KEPT_MS;
use crate::authenticate::hash_of;
use crate::{AuthService, rows};

impl AuthService {
    /// One token, by its text or the hash of it. What is not known may be an AccessToken2 that was never shown here, so that
    /// it gets its mark all the same.
    pub(crate) async fn revoke_one(&self, request: RevokeTokenRequest) -> Result<()> {
        let uuid = AppUuid::from_slice(&request.app)?;
        self.app(uuid).await?;
        let hash: [u8; 32] = match (request.token.as_str(), &request.token_sha256[..]) {
            ("", sha256) => sha256
                .try_into()
                .map_err(|_| ErrorKind::InvalidArgument.with("a token is named by itself or its SHA-256"))?,
            (token, []) => hash_of(token),
            _ => return Err(ErrorKind::InvalidArgument.with("one token at a time")),
        };
        let mark = RevokedToken { revoked_ms: self.clock.now_ms() };
        let mut mark = rows::put(rows::revoked_token(uuid, &hash), &mark);
        mark.expires_in_ms = Some(REVOKED_KEPT_MS);
        self.store.write(vec![Mutation::Put(mark), Mutation::Delete(rows::token(uuid, &hash))]).await?;
        let change = AuthChange { token: Bytes::copy_from_slice(&hash), ..AuthChange::default() };
        self.tell(uuid, change).await
    }

    /// All of a user's tokens that were issued until now.
    pub(crate) async fn revoke_of_user(&self, request: UserRequest) -> Result<()> {
        let app = AppUuid::from_slice(&request.app)?;
        let now_ms = self.clock.now_ms();
        let cut = |user: &mut bulkhead_proto::records::User| {
            user.tokens_valid_from_ms = cut_ms(now_ms, user.tokens_valid_from_ms);
            user.cut_by_password = false;
        };
        self.rewrite(app, &request.user, cut).await.map(drop)
    }

    /// All of an app's tokens that were issued before an instant, or until now.
    pub(crate) async fn revoke_of_app(&self, request: RevokeAppTokensRequest) -> Result<()> {
        let uuid = AppUuid::from_slice(&request.app)?;
        let now_ms = self.clock.now_ms();
        if request.issued_before_ms > now_ms {
            return Err(ErrorKind::InvalidArgument.with("tokens of the future cannot be taken back"));
        }
        let change = |app: &mut bulkhead_proto::records::App| {
            app.tokens_valid_from_ms = match request.issued_before_ms {
                0 => cut_ms(now_ms, app.tokens_valid_from_ms),
                before_ms => before_ms.max(app.tokens_valid_from_ms),
            };
            Ok(())
        };
        self.rewrite_app(uuid, change).await.map(drop)
    }
}

/// The instant from which tokens are valid after a cut now: above it and above every cut before, so that what was issued
/// in the same millisecond before the cut is refused, and an AccessToken2 that was issued in the same second.
pub(crate) fn cut_ms(now_ms: u64, before_ms: u64) -> u64 {
    now_ms.max(before_ms) + 1
}
