//! Whether users are online and what they have not taken yet (features.md §3.2).

use axum::extract::Path;
use bulkhead_model::{MessageId, fold_username, username_is_legal};
use bulkhead_proto::router::{MessageStatusRequest, PresenceRequest, UserRequest};
use serde_json::{Map, Value, json};

use super::body::{Json, names};
use super::call::Call;
use super::caller::Caller;
use super::envelope::{Answer, Envelope};
use super::error::RestError;

/// Most users of one batch (features.md §3.2).
const BATCH_MAX: usize = 100;

/// GET `/users/{user}/status`.
pub(super) async fn status(caller: Caller, Path(user): Path<String>) -> Answer {
    caller.require_app_or_self(&user)?;
    let call = &caller.call;
    let name = call.gateway.auth.find_user(super::users::request(call, &user)).await?.username;
    let online = online(call, vec![name.clone()]).await?;
    let data = Map::from_iter([(name, word(online.first() == Some(&true)))]);
    Envelope::new(call, "get").data(data.into()).respond()
}

/// POST `/users/batch/status`; a user that does not exist is offline.
pub(super) async fn batch_status(caller: Caller, Json(body): Json) -> Answer {
    caller.require_app()?;
    let call = &caller.call;
    let asked = names(&body, "usernames", BATCH_MAX)?;
    let folded: Vec<String> = asked.iter().map(|name| fold_username(name)).collect();
    // A name that no user can have is offline as well, and is not worth the router's time.
    let legal: Vec<String> = folded.iter().filter(|name| username_is_legal(name)).cloned().collect();
    let mut states = online(call, legal).await?.into_iter();
    let data: Vec<Value> = asked
        .into_iter()
        .zip(folded)
        .map(|(asked, folded)| {
            let online = username_is_legal(&folded) && states.next() == Some(true);
            Value::Object(Map::from_iter([(asked, word(online))]))
        })
        .collect();
    Envelope::new(call, "get batch user status").data(data.into()).respond()
}

/// GET `/users/{user}/offline_msg_count`.
pub(super) async fn offline_count(caller: Caller, Path(user): Path<String>) -> Answer {
    caller.require_app_or_self(&user)?;
    let call = &caller.call;
    let user = call.gateway.auth.find_user(super::users::request(call, &user)).await?.username;
    let request = UserRequest { app: call.app_bytes(), user: user.clone() };
    let count = call.gateway.router.offline_count(request).await?.messages;
    Envelope::new(call, "get").data(Map::from_iter([(user, json!(count))]).into()).respond()
}

/// GET `/users/{user}/offline_msg_status/{msg_id}`.
pub(super) async fn offline_status(caller: Caller, Path((user, id)): Path<(String, String)>) -> Answer {
    caller.require_app()?;
    let call = &caller.call;
    let message: MessageId = id.parse().map_err(RestError::from)?;
    let user = call.gateway.auth.find_user(super::users::request(call, &user)).await?.username;
    let request = MessageStatusRequest { app: call.app_bytes(), user, id: message.0 };
    let delivered = call.gateway.router.message_status(request).await?.delivered;
    let word = if delivered { "delivered" } else { "undelivered" };
    Envelope::new(call, "get").data(Map::from_iter([(id, json!(word))]).into()).respond()
}

async fn online(call: &Call, users: Vec<String>) -> Result<Vec<bool>, RestError> {
    if users.is_empty() {
        return Ok(Vec::new());
    }
    Ok(call.gateway.router.presence(PresenceRequest { app: call.app_bytes(), users }).await?.online)
}

fn word(online: bool) -> Value {
    json!(if online { "online" } else { "offline" })
}
