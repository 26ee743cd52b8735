//! POST `/users`: one user or a batch (features.md §3.2).

use bulkhead_model::{Error, ErrorKind, USERNAME_BYTES_MAX, fold_username, username_is_legal};
use bulkhead_proto::auth::registration::Outcome;
use bulkhead_proto::auth::{Failure, NewUser, RegisterUsersRequest, Registration};
use http::StatusCode;
use serde_json::{Value, json};

use super::body::{Json, invalid_body};
use super::call::Call;
use super::caller::MaybeCaller;
use super::envelope::{Answer, Envelope};
use super::error::RestError;
use super::users::entity;

/// Most users of one call (features.md §3.2).
const USERS_MAX: usize = 60;

/// Longest password, in characters (features.md §1).
const PASSWORD_CHARS_MAX: usize = 64;

/// Longest nickname, in characters (features.md §1).
pub(super) const NICKNAME_CHARS_MAX: usize = 100;

/// Registers users. Without a token only while the app's registration is open; with one, it must have app privilege.
pub(super) async fn register(caller: MaybeCaller, Json(body): Json) -> Answer {
    let MaybeCaller { call, caller } = caller;
    match caller {
        Some(caller) => caller.require_app()?,
        None if call.app.open_registration => {}
        None => return Err(ErrorKind::RegistrationClosed.into()),
    }
    match body {
        Value::Object(_) => register_one(&call, &body).await,
        Value::Array(users) => register_batch(&call, &users).await,
        _ => Err(invalid_body()),
    }
}

async fn register_one(call: &Call, body: &Value) -> Answer {
    let user = read(body)?;
    check(&user)?;
    let request = RegisterUsersRequest { app: call.app_bytes(), users: vec![user] };
    let outcome = call.gateway.auth.register_users(request).await?.outcomes.into_iter().next();
    match outcome.and_then(|outcome| outcome.outcome) {
        Some(Outcome::User(user)) => Envelope::new(call, "post").entities(vec![entity(&user)]).respond(),
        Some(Outcome::Failure(failure)) => Err(error_of(failure).into()),
        None => Err(ErrorKind::Internal.into()),
    }
}

/// One bad user does not fail the others: its reason stands in `data`.
async fn register_batch(call: &Call, users: &[Value]) -> Answer {
    if users.is_empty() || users.len() > USERS_MAX {
        return Err(RestError::illegal(format!("a batch holds 1 to {USERS_MAX} users")));
    }
    let mut good = Vec::new();
    let mut failures = Vec::new();
    for user in users {
        let user = read(user)?;
        match check(&user) {
            Ok(()) => good.push(user),
            Err(error) => failures.push(failure(&user.username, &error.description)),
        }
    }
    let mut entities = Vec::new();
    if !good.is_empty() {
        let request = RegisterUsersRequest { app: call.app_bytes(), users: good };
        for Registration { username, outcome } in call.gateway.auth.register_users(request).await?.outcomes {
            match outcome {
                Some(Outcome::User(user)) => entities.push(entity(&user)),
                Some(Outcome::Failure(reason)) => failures.push(failure(&username, &reason.message)),
                None => failures.push(failure(&username, ErrorKind::Internal.text())),
            }
        }
    }
    let answer = Envelope::new(call, "post").entities(entities);
    if failures.is_empty() { answer.respond() } else { answer.data(Value::Array(failures)).respond() }
}

fn failure(username: &str, reason: &str) -> Value {
    json!({ "username": username, "registerUserFailReason": reason })
}

fn error_of(failure: Failure) -> Error {
    ErrorKind::from_name(&failure.kind).unwrap_or(ErrorKind::Internal).with(failure.message)
}

/// Reads the shape of a user; a wrong shape fails the whole call.
fn read(body: &Value) -> Result<NewUser, RestError> {
    let fields = body.as_object().ok_or_else(invalid_body)?;
    let text = |name: &'static str| match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(RestError::illegal(format!("{name} must be a string"))),
    };
    let username = text("username")?.filter(|name| !name.is_empty());
    Ok(NewUser {
        username: fold_username(&username.ok_or_else(|| RestError::illegal("missing username"))?),
        password: text("password")?.unwrap_or_default(),
        // The web SDK sends "" for a user without one.
        nickname: text("nickname")?.filter(|nickname| !nickname.is_empty()),
    })
}

fn check(user: &NewUser) -> Result<(), RestError> {
    if user.username.len() > USERNAME_BYTES_MAX {
        return Err(RestError::new(
            StatusCode::BAD_REQUEST,
            "USERNAME_TOO_LONG",
            "java.lang.IllegalArgumentException",
            "username is longer than 64 bytes",
        ));
    }
    if !username_is_legal(&user.username) {
        return Err(RestError::illegal(format!("username [{}] is not legal", user.username)));
    }
    check_password(&user.password)?;
    match &user.nickname {
        Some(nickname) if nickname.chars().count() > NICKNAME_CHARS_MAX => Err(nickname_too_long()),
        _ => Ok(()),
    }
}

/// 400 for a password over its length.
pub(super) fn check_password(password: &str) -> Result<(), RestError> {
    if password.chars().count() > PASSWORD_CHARS_MAX {
        Err(RestError::illegal("password is longer than 64 characters"))
    } else {
        Ok(())
    }
}

/// 400 for a nickname over its length.
pub(super) fn nickname_too_long() -> RestError {
    RestError::new(
        StatusCode::BAD_REQUEST,
        "NICKNAME_TOO_LONG",
        "java.lang.IllegalArgumentException",
        "nickname is longer than 100 characters",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_user_is_read_and_folded() {
        let user = read(&json!({"username": "Alice", "password": "p", "nickname": "Al"})).unwrap();
        assert_eq!((user.username.as_str(), user.password.as_str()), ("alice", "p"));
        assert_eq!(user.nickname.as_deref(), Some("Al"));
        assert_eq!(read(&json!({"username": "alice", "nickname": ""})).unwrap().nickname, None);
        for wrong in [json!([]), json!({}), json!({"username": ""}), json!({"username": 7})] {
            assert_eq!(read(&wrong).unwrap_err().status.as_u16(), 400, "{wrong}");
        }
    }

    #[test]
    fn every_length_holds_at_its_limit_and_not_one_past_it() {
        let user = |username: usize, password: usize, nickname: usize| NewUser {
            username: "a".repeat(username),
            password: "p".repeat(password),
            nickname: Some("é".repeat(nickname)),
        };
        assert!(check(&user(64, 64, 100)).is_ok());
        assert_eq!(check(&user(65, 1, 1)).unwrap_err().error, "USERNAME_TOO_LONG");
        assert_eq!(check(&user(1, 65, 1)).unwrap_err().error, "illegal_argument");
        assert_eq!(check(&user(1, 1, 101)).unwrap_err().error, "NICKNAME_TOO_LONG");
        let illegal = NewUser { username: "a b".into(), ..NewUser::default() };
        assert_eq!(check(&illegal).unwrap_err().description, "username [a b] is not legal");
    }
}
