//! `/security/tokens`: takes tokens back. The vendor has a path for those of one user only (`/token/users/{user}/invalid`,
//! features.md §3.1); these stand beside it. All need app privilege.

use bulkhead_proto::auth::{RevokeAppTokensRequest, RevokeTokenRequest};
use serde_json::{Value, json};

use super::body::Json;
use super::caller::Caller;
use super::envelope::{Answer, Envelope};
use super::error::RestError;

/// POST `/security/tokens/revoke`: one token, named by `token` or `token_sha256` (64 hex digits). Its sockets are closed, and
/// none of another token.
pub(super) async fn revoke(caller: Caller, Json(body): Json) -> Answer {
    caller.require_app()?;
    let call = &caller.call;
    let (token, token_sha256) = match (text(&body, "token"), text(&body, "token_sha256")) {
        (Some(token), None) => (token.to_owned(), Vec::new()),
        (None, Some(digits)) => (String::new(), sha256(digits)?),
        _ => return Err(RestError::illegal("name the token by token or by token_sha256")),
    };
    let request = RevokeTokenRequest { app: call.app_bytes(), token, token_sha256: token_sha256.into() };
    call.gateway.auth.revoke_token(request).await?;
    Envelope::new(call, "post").data(json!({ "result": true })).respond()
}

/// POST `/security/tokens/revoke-all`: every token of the app, its own included, that was issued before `issued_before`
/// (Unix milliseconds), or until now when the body has none.
pub(super) async fn revoke_all(caller: Caller, Json(body): Json) -> Answer {
    caller.require_app()?;
    let call = &caller.call;
    let issued_before_ms = match body.get("issued_before") {
        None | Some(Value::Null) => 0,
        Some(instant) => instant
            .as_u64()
            .filter(|instant_ms| *instant_ms > 0)
            .ok_or_else(|| RestError::illegal("issued_before must be Unix milliseconds"))?,
    };
    let request = RevokeAppTokensRequest { app: call.app_bytes(), issued_before_ms };
    call.gateway.auth.revoke_app_tokens(request).await?;
    Envelope::new(call, "post").data(json!({ "result": true })).respond()
}

fn sha256(digits: &str) -> Result<Vec<u8>, RestError> {
    hex::decode(digits)
        .ok()
        .filter(|bytes| bytes.len() == 32)
        .ok_or_else(|| RestError::illegal("token_sha256 must be 64 hex digits"))
}

fn text<'a>(body: &'a Value, name: &str) -> Option<&'a str> {
    body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}
