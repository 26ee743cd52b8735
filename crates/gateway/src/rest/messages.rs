//! Sending over REST (features.md §3.4): every message enters at the router with the call that sockets use.

use bulkhead_model::ErrorKind;
use bulkhead_proto::router::{PublishRequest, Queue};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::body::Json;
use super::call::Call;
use super::caller::Caller;
use super::envelope::{Answer, Envelope};
use super::error::RestError;
use super::message_request::{Audience, SendRequest};

/// POST `/messages/users`: `data` is `{user: message id}`.
pub(super) async fn send_to_users(caller: Caller, Json(body): Json) -> Answer {
    caller.require_app()?;
    send(&caller.call, SendRequest::read(Audience::Users, &body)?).await
}

/// POST `/messages/chatgroups`: `data` is `{group: message id}`.
pub(super) async fn send_to_groups(caller: Caller, Json(body): Json) -> Answer {
    caller.require_app()?;
    send(&caller.call, SendRequest::read(Audience::Groups, &body)?).await
}

/// POST `/messages/chatgroups/users`: for some members of one group.
pub(super) async fn send_to_some_of_a_group(caller: Caller, Json(body): Json) -> Answer {
    caller.require_app()?;
    send(&caller.call, SendRequest::read_for_some(Audience::Groups, &body)?).await
}

/// POST `/messages/chatrooms`: `data` is `{room: message id}`. All levels of importance are delivered alike.
pub(super) async fn send_to_rooms(caller: Caller, Json(body): Json) -> Answer {
    caller.require_app()?;
    send(&caller.call, SendRequest::read(Audience::Rooms, &body)?).await
}

/// POST `/messages/chatrooms/users`: for some members of one room.
pub(super) async fn send_to_some_of_a_room(caller: Caller, Json(body): Json) -> Answer {
    caller.require_app()?;
    send(&caller.call, SendRequest::read_for_some(Audience::Rooms, &body)?).await
}

/// POST `/messages`, the older form: `data` is `{target: "success"}`, or ids with `?useMsgId=true` (server-sdk.md E).
pub(super) async fn send_legacy(caller: Caller, Json(body): Json) -> Answer {
    caller.require_app()?;
    let ids = publish(&caller.call, SendRequest::read_legacy(&body)?).await?;
    let with_ids = caller.call.query("useMsgId") == Some("true");
    let data: Map<String, Value> = ids
        .into_iter()
        .map(|(target, id)| (target, if with_ids { json!(id.to_string()) } else { json!("success") }))
        .collect();
    Envelope::new(&caller.call, "post").data(data.into()).respond()
}

async fn send(call: &Call, request: SendRequest) -> Answer {
    let ids = publish(call, request).await?;
    let data: Map<String, Value> =
        ids.into_iter().map(|(target, id)| (target, json!(id.to_string()))).collect();
    Envelope::new(call, "post").data(data.into()).respond()
}

/// Publishes to every target: all are queued first, so that the router commits them together, then all are awaited.
///
/// Each target has its own fate. When some fail the others were still sent and cannot be taken back, so their ids are
/// answered and the failed targets are missing from the answer; only when all fail is the call an error.
async fn publish(call: &Call, request: SendRequest) -> Result<Vec<(String, u64)>, RestError> {
    let router = &call.gateway.router;
    let pending: Vec<_> = request
        .to
        .iter()
        .map(|target| {
            let span = bulkhead_api::path::begin();
            let pending = span.in_scope(|| {
                router.publish(PublishRequest {
                    app: call.app_bytes(),
                    from_user: request.from.clone(),
                    from_device: String::new(),
                    to: Some(Queue { name: target.clone(), kind: request.audience.queue_kind().into() }),
                    to_device: String::new(),
                    client_id: 0,
                    kind: request.audience.message_kind().into(),
                    content: request.content.into(),
                    target_id: 0,
                    payload: request.payload_for(target),
                    meta_ext: Bytes::new(),
                    online_only: request.online_only,
                    administrative: true,
                    sync_devices: request.sync_devices,
                    history_hidden_for: request.history_hidden_for.clone(),
                    only_users: request.only_users.clone(),
                })
            });
            (pending, span)
        })
        .collect();
    let mut ids = Vec::with_capacity(pending.len());
    let mut first_error = None;
    for (target, (pending, _span)) in request.to.into_iter().zip(pending) {
        match pending.wait().await {
            Ok(published) => ids.push((target, published.id)),
            Err(error) => {
                tracing::warn!(app = %call.app_uuid, target, error = error.kind().name(), "a REST message was not published");
                first_error.get_or_insert(error);
            }
        }
    }
    match first_error {
        Some(error) if ids.is_empty() => Err(error.into()),
        None if ids.is_empty() => Err(ErrorKind::Internal.into()),
        _ => Ok(ids),
    }
}
