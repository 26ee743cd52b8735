//! Sending over REST (features.md §3.4): every message enters at the router with the call that sockets use.

use bulkhead_model::ErrorKind;
use bulkhead_proto::records::MessageKind;
use bulkhead_proto::router::{PublishRequest, Queue, QueueKind};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::body::Json;
use super::call::Call;
use super::caller::Caller;
use super::envelope::{Answer, Envelope};
use super::error::RestError;
use super::message_request::SendRequest;

/// POST `/messages/users`: `data` is `{user: message id}`.
pub(super) async fn send_to_users(caller: Caller, Json(body): Json) -> Answer {
    caller.require_app()?;
    let ids = publish(&caller.call, SendRequest::read(&body)?).await?;
    let data: Map<String, Value> = ids.into_iter().map(|(user, id)| (user, json!(id.to_string()))).collect();
    Envelope::new(&caller.call, "post").data(data.into()).respond()
}

/// POST `/messages`, the older form: `data` is `{user: "success"}`, or ids with `?useMsgId=true` (server-sdk.md E).
pub(super) async fn send_legacy(caller: Caller, Json(body): Json) -> Answer {
    caller.require_app()?;
    match body.get("target_type").and_then(Value::as_str) {
        Some("users") => {}
        Some("chatgroups" | "chatrooms") => return Err(RestError::not_built("sending to groups and rooms")),
        _ => return Err(RestError::illegal("Target_type can only be users/chatgroups/chatrooms")),
    }
    let ids = publish(&caller.call, SendRequest::read_legacy(&body)?).await?;
    let with_ids = caller.call.query("useMsgId") == Some("true");
    let data: Map<String, Value> = ids
        .into_iter()
        .map(|(user, id)| (user, if with_ids { json!(id.to_string()) } else { json!("success") }))
        .collect();
    Envelope::new(&caller.call, "post").data(data.into()).respond()
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
        .map(|user| {
            let span = bulkhead_api::path::begin();
            let pending = span.in_scope(|| {
                router.publish(PublishRequest {
                    app: call.app_bytes(),
                    from_user: request.from.clone(),
                    from_device: String::new(),
                    to: Some(Queue { name: user.clone(), kind: QueueKind::Direct.into() }),
                    to_device: String::new(),
                    client_id: 0,
                    kind: MessageKind::Chat.into(),
                    content: request.content.into(),
                    target_id: 0,
                    payload: request.payload_for(user),
                    meta_ext: Bytes::new(),
                    online_only: request.online_only,
                    administrative: true,
                    sync_devices: request.sync_devices,
                    history_hidden_for: request.history_hidden_for.clone(),
                    only_users: Vec::new(),
                })
            });
            (pending, span)
        })
        .collect();
    let mut ids = Vec::with_capacity(pending.len());
    let mut first_error = None;
    for (user, (pending, _span)) in request.to.into_iter().zip(pending) {
        match pending.wait().await {
            Ok(published) => ids.push((user, published.id)),
            Err(error) => {
                tracing::warn!(app = %call.app_uuid, user, error = error.kind().name(), "a REST message was not published");
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
