//! POST `/token`: the four grants (features.md §3.1).

use axum::extract::Path;
use bulkhead_model::{ErrorKind, fold_username};
use bulkhead_proto::auth::{
    AuthenticateRequest, ClientCredentialsGrant, GrantedToken, InheritGrant, PasswordGrant, UserRequest,
};
use bulkhead_proto::router::{DisconnectRequest, KickReason};
use http::StatusCode;
use serde_json::{Value, json};

use super::body::Json;
use super::call::Call;
use super::caller::{Bearer, Caller, authenticate};
use super::envelope::{Answer, Envelope, json};
use super::error::RestError;
use super::users::entity;

/// `expires_in` of a token without an end, in seconds (68 years): server SDKs hold it in a signed 32-bit integer, and 0
/// would read as "ended" (server-sdk.md B).
const NEVER_EXPIRES_S: u64 = i32::MAX as u64;

/// Grants a token, in the form that `grant_type` names.
pub(super) async fn grant(call: Call, Bearer(bearer): Bearer, Json(body): Json) -> Answer {
    match text(&body, "grant_type") {
        Some("client_credentials") => client_credentials(&call, &body).await,
        Some("password") => password(&call, &body).await,
        Some("inherit") => inherit(&call, bearer, &body).await,
        Some("agora") => agora(&call, bearer).await,
        _ => {
            Err(RestError::invalid_grant("grant_type must be client_credentials, password, inherit or agora"))
        }
    }
}

async fn client_credentials(call: &Call, body: &Value) -> Answer {
    let (Some(client_id), Some(client_secret)) = (text(body, "client_id"), text(body, "client_secret"))
    else {
        return Err(RestError::invalid_grant("client_id and client_secret must be provided"));
    };
    let granted = call
        .gateway
        .auth
        .grant_client_credentials(ClientCredentialsGrant {
            app: call.app_bytes(),
            client_id: client_id.to_owned(),
            client_secret: client_secret.to_owned(),
            ttl_s: ttl_s(body)?,
        })
        .await?;
    Ok(json(&granted_json(call, &granted)))
}

async fn password(call: &Call, body: &Value) -> Answer {
    let (Some(username), Some(password)) = (text(body, "username"), text(body, "password")) else {
        return Err(RestError::invalid_grant("password or pin must provided"));
    };
    let granted = call
        .gateway
        .auth
        .grant_password(PasswordGrant {
            app: call.app_bytes(),
            username: fold_username(username),
            password: password.to_owned(),
            ttl_s: ttl_s(body)?,
        })
        .await
        .map_err(|error| match error.kind() {
            ErrorKind::WrongPassword => wrong_password(body),
            ErrorKind::UserNotFound => no_such_user(),
            _ => error.into(),
        })?;
    Ok(json(&granted_json(call, &granted)))
}

/// Two documents want two texts. features.md §3.1 has "invalid username or password", which backends match on; the web
/// SDK stops its search for another host only when the text is exactly "invalid password" (msync.md §2). Only the web
/// SDK sends a `timestamp` with this grant, so each gets its own.
fn wrong_password(body: &Value) -> RestError {
    if body.get("timestamp").is_some() {
        RestError::invalid_grant("invalid password")
    } else {
        RestError::invalid_grant(ErrorKind::WrongPassword.text())
    }
}

async fn inherit(call: &Call, bearer: Option<String>, body: &Value) -> Answer {
    let bearer = bearer.ok_or_else(|| RestError::from(ErrorKind::Unauthenticated))?;
    authenticate(call.clone(), bearer).await?.require_app()?;
    let username = text(body, "username").ok_or_else(|| RestError::illegal("missing username"))?;
    let granted = call
        .gateway
        .auth
        .grant_inherit(InheritGrant {
            app: call.app_bytes(),
            username: fold_username(username),
            auto_create_user: body.get("autoCreateUser").is_some_and(is_true),
            ttl_s: ttl_s(body)?,
        })
        .await
        .map_err(|error| match error.kind() {
            ErrorKind::UserNotFound => no_such_user(),
            _ => error.into(),
        })?;
    Ok(json(&granted_json(call, &granted)))
}

async fn agora(call: &Call, bearer: Option<String>) -> Answer {
    let token = bearer.ok_or_else(|| RestError::from(ErrorKind::Unauthenticated))?;
    let request = AuthenticateRequest { app: call.app_bytes(), token, username: String::new() };
    let granted = call.gateway.auth.exchange_token(request).await.map_err(|error| match error.kind() {
        ErrorKind::UserNotFound | ErrorKind::UserNotActivated | ErrorKind::InvalidArgument => {
            RestError::from(ErrorKind::Unauthenticated)
        }
        _ => error.into(),
    })?;
    Ok(json(&json!({
        "access_token": granted.access_token,
        "expire_timestamp": expire_timestamp_ms(call, granted.expires_ms),
    })))
}

/// POST `/token/users/{user}/invalid`: ends every token that the user was given until now, and its sessions with them.
/// The body is undocumented (features.md §14) and not looked at.
pub(super) async fn invalidate(caller: Caller, Path(user): Path<String>) -> Answer {
    caller.require_app()?;
    let call = &caller.call;
    let user = call
        .gateway
        .auth
        .find_user(UserRequest { app: call.app_bytes(), user: fold_username(&user) })
        .await?;
    let request = UserRequest { app: call.app_bytes(), user: user.username.clone() };
    call.gateway.auth.revoke_user_tokens(request).await?;
    call.gateway
        .router
        .disconnect(DisconnectRequest {
            app: call.app_bytes(),
            user: user.username,
            device: String::new(),
            reason: KickReason::OtherDevice.into(),
        })
        .await?;
    Envelope::new(call, "post").data(json!({ "result": true })).respond()
}

/// GET `/sdk/users/{user}/token/expires`: when the caller's own token ends (msync.md §10, `renewToken`).
pub(super) async fn expires(caller: Caller, Path(user): Path<String>) -> Answer {
    caller.require_app_or_self(&user)?;
    Ok(json(&json!({ "expire_timestamp": expire_timestamp_ms(&caller.call, caller.expires_ms) })))
}

fn granted_json(call: &Call, granted: &GrantedToken) -> Value {
    let mut answer = json!({
        "access_token": granted.access_token,
        "expires_in": expires_in_s(granted),
        "application": call.app_uuid.to_string(),
    });
    if let Some(user) = &granted.user {
        answer["user"] = entity(user);
    }
    answer
}

fn expires_in_s(granted: &GrantedToken) -> u64 {
    match granted.expires_ms {
        0 => NEVER_EXPIRES_S,
        expires_ms => (expires_ms.saturating_sub(granted.issued_ms) / 1000).min(NEVER_EXPIRES_S),
    }
}

fn expire_timestamp_ms(call: &Call, expires_ms: u64) -> u64 {
    match expires_ms {
        0 => call.gateway.clock.now_ms() + NEVER_EXPIRES_S * 1000,
        expires_ms => expires_ms,
    }
}

fn no_such_user() -> RestError {
    RestError::new(
        StatusCode::NOT_FOUND,
        "invalid_grant",
        "InvalidGrantException",
        ErrorKind::UserNotFound.text(),
    )
}

/// Seconds; a number or its decimal text. Absent means the default, 0 means never.
fn ttl_s(body: &Value) -> Result<Option<u64>, RestError> {
    let ttl_s = match body.get("ttl") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number.as_u64(),
        Some(Value::String(text)) => text.parse().ok(),
        Some(_) => None,
    };
    match ttl_s {
        Some(ttl_s) => Ok(Some(ttl_s.min(NEVER_EXPIRES_S))),
        None => Err(RestError::illegal("ttl must be a number of seconds, 0 or more")),
    }
}

fn text<'a>(body: &'a Value, name: &str) -> Option<&'a str> {
    body.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn is_true(value: &Value) -> bool {
    value.as_bool().unwrap_or_else(|| value.as_str() == Some("true"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_without_an_end_fits_the_clients_signed_integer() {
        let granted =
            |issued_ms, expires_ms| GrantedToken { issued_ms, expires_ms, ..GrantedToken::default() };
        assert_eq!(expires_in_s(&granted(5000, 0)), 2_147_483_647);
        assert_eq!(expires_in_s(&granted(5000, 15_000)), 10);
        assert_eq!(expires_in_s(&granted(0, u64::MAX)), 2_147_483_647);
    }

    #[test]
    fn a_life_is_seconds_and_zero_is_for_ever() {
        assert_eq!(ttl_s(&json!({})).unwrap(), None);
        assert_eq!(ttl_s(&json!({"ttl": 0})).unwrap(), Some(0));
        assert_eq!(ttl_s(&json!({"ttl": "60"})).unwrap(), Some(60));
        for wrong in [json!({"ttl": -1}), json!({"ttl": 1.5}), json!({"ttl": "soon"}), json!({"ttl": []})] {
            assert!(ttl_s(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_wrong_password_is_told_to_each_client_in_its_own_words() {
        assert_eq!(wrong_password(&json!({"timestamp": 1})).description, "invalid password");
        assert_eq!(wrong_password(&json!({})).description, "invalid username or password");
    }
}
