//! One user: read, change, delete (features.md §3.2).

use axum::extract::Path;
use bulkhead_model::{AppUuid, ErrorKind, fold_username};
use bulkhead_proto::auth::{UpdateUserRequest, UserRequest, update_user_request::Change};
use bulkhead_proto::records::User;
use bulkhead_proto::router::{self, DisconnectRequest, KickReason};
use serde_json::{Value, json};

use super::body::{Json, invalid_body};
use super::call::Call;
use super::caller::Caller;
use super::envelope::{Answer, Envelope};
use super::error::RestError;
use super::user_registration::{NICKNAME_CHARS_MAX, check_password};

/// The entity of a user as REST shows it. A nickname that was never set is left out (server-sdk.md C).
pub(super) fn entity(user: &User) -> Value {
    let mut entity = json!({
        "uuid": AppUuid::from_slice(&user.uuid).map(|uuid| uuid.to_string()).unwrap_or_default(),
        "type": "user",
        "created": user.created_ms,
        "modified": user.modified_ms,
        "username": user.username,
        "activated": user.activated,
    });
    if let Some(nickname) = &user.nickname {
        entity["nickname"] = json!(nickname);
    }
    if let Some(style) = user.notification_display_style {
        entity["notification_display_style"] = json!(style);
    }
    entity
}

/// GET `/users/{user}`.
pub(super) async fn get(caller: Caller, Path(user): Path<String>) -> Answer {
    caller.require_app_or_self(&user)?;
    let call = &caller.call;
    let user = call.gateway.auth.find_user(request(call, &user)).await?;
    Envelope::new(call, "get").entities(vec![entity(&user)]).count(1).respond()
}

/// PUT `/users/{user}`: nickname or notification style. A user may set its own nickname (the web SDK's
/// `updateCurrentUserNick`, msync.md §10); all else needs app privilege.
pub(super) async fn change(caller: Caller, Path(user): Path<String>, Json(body): Json) -> Answer {
    caller.require_app_or_self(&user)?;
    let changes = read_changes(&body)?;
    if !matches!(&changes[..], [Change::Nickname(_)]) {
        caller.require_app()?;
    }
    let call = &caller.call;
    let mut changed = None;
    for change in changes {
        changed = Some(update(call, &user, change).await?);
    }
    let changed = changed.ok_or_else(invalid_body)?;
    Envelope::new(call, "put").entities(vec![entity(&changed)]).respond()
}

/// PUT `/users/{user}/password`: also ends the user's tokens and sessions (216).
pub(super) async fn change_password(caller: Caller, Path(user): Path<String>, Json(body): Json) -> Answer {
    caller.require_app()?;
    let password = body
        .get("newpassword")
        .and_then(Value::as_str)
        .filter(|password| !password.is_empty())
        .ok_or_else(|| RestError::illegal("missing newpassword"))?;
    check_password(password)?;
    let call = &caller.call;
    let changed = update(call, &user, Change::Password(password.to_owned())).await?;
    disconnect(call, &changed.username, "", KickReason::PasswordChanged).await?;
    Envelope::new(call, "set user password").respond()
}

/// POST `/users/{user}/deactivate`: no way in any more, and offline at once (217).
pub(super) async fn deactivate(caller: Caller, Path(user): Path<String>) -> Answer {
    caller.require_app()?;
    let call = &caller.call;
    let changed = update(call, &user, Change::Activated(false)).await?;
    disconnect(call, &changed.username, "", KickReason::OtherDevice).await?;
    Envelope::new(call, "Deactivate user").entities(vec![entity(&changed)]).respond()
}

/// POST `/users/{user}/activate`.
pub(super) async fn activate(caller: Caller, Path(user): Path<String>) -> Answer {
    caller.require_app()?;
    let changed = update(&caller.call, &user, Change::Activated(true)).await?;
    Envelope::new(&caller.call, "activate user").entities(vec![entity(&changed)]).respond()
}

/// DELETE `/users/{user}`.
pub(super) async fn delete(caller: Caller, Path(user): Path<String>) -> Answer {
    caller.require_app()?;
    let deleted = delete_one(&caller.call, &user).await?;
    Envelope::new(&caller.call, "delete").entities(vec![entity(&deleted)]).respond()
}

/// Deletes a user, its sessions (207) and what the router keeps about it.
pub(super) async fn delete_one(call: &Call, user: &str) -> Result<User, RestError> {
    let deleted = call.gateway.auth.delete_user(request(call, user)).await?;
    disconnect(call, &deleted.username, "", KickReason::UserRemoved).await?;
    let forgotten = router::UserRequest { app: call.app_bytes(), user: deleted.username.clone() };
    call.gateway.router.forget_user(forgotten).await?;
    Ok(deleted)
}

/// Ends the sessions of a user on one device, or on all when `device` is empty.
pub(super) async fn disconnect(
    call: &Call,
    user: &str,
    device: &str,
    reason: KickReason,
) -> Result<(), RestError> {
    let request = DisconnectRequest {
        app: call.app_bytes(),
        user: user.to_owned(),
        device: device.to_owned(),
        reason: reason.into(),
    };
    call.gateway.router.disconnect(request).await?;
    Ok(())
}

/// Names a user of the call's app, as the auth service takes it: a folded username or a UUID.
pub(super) fn request(call: &Call, user: &str) -> UserRequest {
    UserRequest { app: call.app_bytes(), user: fold_username(user) }
}

async fn update(call: &Call, user: &str, change: Change) -> Result<User, RestError> {
    let request =
        UpdateUserRequest { app: call.app_bytes(), user: fold_username(user), change: Some(change) };
    Ok(call.gateway.auth.update_user(request).await?)
}

fn read_changes(body: &Value) -> Result<Vec<Change>, RestError> {
    let fields = body.as_object().ok_or_else(invalid_body)?;
    let mut changes = Vec::new();
    for (name, value) in fields {
        match name.as_str() {
            "nickname" => {
                let nickname =
                    value.as_str().ok_or_else(|| RestError::illegal("nickname must be a string"))?;
                if nickname.chars().count() > NICKNAME_CHARS_MAX {
                    return Err(super::user_registration::nickname_too_long());
                }
                changes.push(Change::Nickname(nickname.to_owned()));
            }
            // The Java server SDK sends the number as text (server-sdk.md C).
            "notification_display_style" => {
                let style = value.as_u64().or_else(|| value.as_str().and_then(|text| text.parse().ok()));
                match style {
                    Some(style @ 0..=1) => changes.push(Change::NotificationDisplayStyle(style as u32)),
                    _ => return Err(RestError::illegal("notification_display_style must be 0 or 1")),
                }
            }
            name if name.starts_with("notification_no_disturbing") => {
                return Err(RestError::not_built("do not disturb"));
            }
            "device_id" | "device_token" | "notifier_name" => {
                return Err(RestError::not_built("binding a push token"));
            }
            _ => {}
        }
    }
    if changes.is_empty() {
        return Err(ErrorKind::InvalidArgument.with("there is nothing to change").into());
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entity_of_a_user_shows_only_what_was_set() {
        let mut user = User {
            uuid: vec![0x0f; 16].into(),
            username: "alice".into(),
            password_hash: "secret".into(),
            created_ms: 1,
            modified_ms: 2,
            activated: true,
            ..User::default()
        };
        let plain = entity(&user);
        assert_eq!(plain["uuid"], "0f0f0f0f-0f0f-0f0f-0f0f-0f0f0f0f0f0f");
        assert_eq!(plain.get("nickname"), None);
        assert!(!plain.to_string().contains("secret"));
        user.nickname = Some("Al".into());
        assert_eq!(entity(&user)["nickname"], "Al");
    }

    #[test]
    fn changes_are_read_and_what_is_not_built_says_so() {
        assert!(
            matches!(&read_changes(&json!({"nickname": "n"})).unwrap()[..], [Change::Nickname(n)] if n == "n")
        );
        assert!(matches!(
            read_changes(&json!({"notification_display_style": "1"})).unwrap()[..],
            [Change::NotificationDisplayStyle(1)]
        ));
        let status = |body: Value| read_changes(&body).unwrap_err().status.as_u16();
        assert_eq!(status(json!({"notification_no_disturbing": true})), 501);
        assert_eq!(status(json!({"device_token": "t"})), 501);
        assert_eq!(status(json!({"notification_display_style": 2})), 400);
        assert_eq!(status(json!({"nickname": "x".repeat(101)})), 400);
        assert_eq!(status(json!({})), 400);
        assert_eq!(status(json!([])), 400);
    }
}
