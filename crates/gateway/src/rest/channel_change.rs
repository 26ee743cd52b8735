//! A group or room is changed, handed over or destroyed (features.md §3.6, §3.8).

use axum::extract::Path;
use bulkhead_model::fold_username;
use bulkhead_proto::router::{ChangeOwnerRequest, ChannelRequest, UpdateChannelRequest};
use serde_json::{Map, Value, json};

use super::body::{Json, invalid_body};
use super::caller::Caller;
use super::channel_kind::{ChannelKind, Rooms};
use super::channel_request::{invalid_parameter, read_settings};
use super::envelope::{Answer, Envelope};
use super::error::RestError;

/// PUT of settings, or of `newowner`: `data` names each field that was sent, with true. A name is confirmed as
/// `groupname` too, which is what SDKs look for under whatever name they sent it.
pub(super) async fn change<K: ChannelKind>(
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json,
) -> Answer {
    let fields = body.as_object().ok_or_else(invalid_body)?;
    let (settings, given) = read_settings(fields)?;
    let owner = match fields.get("newowner") {
        None | Some(Value::Null) => None,
        Some(Value::String(owner)) if !owner.is_empty() => Some(fold_username(owner)),
        Some(_) => return Err(RestError::illegal("newowner must be a username")),
    };
    if given.is_empty() && owner.is_none() {
        return Err(invalid_parameter("there is nothing to change"));
    }
    let (app, channel) = (caller.call.app_bytes(), Some(K::queue(&id)));
    let router = &caller.call.gateway.router;
    let mut data = Map::new();
    if !given.is_empty() {
        let request = UpdateChannelRequest {
            app: app.clone(),
            channel: channel.clone(),
            actor: caller.actor(),
            settings: Some(settings),
        };
        router.update_channel(request).await?;
        data.extend(given.iter().map(|name| ((*name).to_owned(), json!(true))));
        if given.contains(&"name") {
            data.insert("groupname".into(), json!(true));
        }
    }
    if let Some(owner) = owner {
        router.change_owner(ChangeOwnerRequest { app, channel, actor: caller.actor(), owner }).await?;
        data.insert("newowner".into(), json!(true));
    }
    Envelope::new(&caller.call, "put").data(data.into()).respond()
}

/// DELETE of a group or room.
pub(super) async fn destroy<K: ChannelKind>(caller: Caller, Path(id): Path<String>) -> Answer {
    let channel = K::queue(&id);
    let id = channel.name.clone();
    let request =
        ChannelRequest { app: caller.call.app_bytes(), channel: Some(channel), actor: caller.actor() };
    caller.call.gateway.router.destroy_channel(request).await?;
    // The newer form names a group as it names a room.
    let name = if caller.call.query("version") == Some("v3") { Rooms::ID } else { K::ID };
    Envelope::new(&caller.call, "delete").data(json!({ "success": true, name: id })).respond()
}
