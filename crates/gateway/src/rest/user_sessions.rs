//! The sessions of a user: which devices are online, and ending them (features.md §3.2).

use axum::extract::Path;
use bulkhead_model::fold_username;
use bulkhead_proto::router::{KickReason, UserRequest};
use http::Method;
use serde_json::{Value, json};

use super::caller::Caller;
use super::envelope::{Answer, Envelope};
use super::users::disconnect;

/// GET `/users/{user}/resources`: the devices that are online.
pub(super) async fn resources(caller: Caller, Path(user): Path<String>) -> Answer {
    caller.require_app_or_self(&user)?;
    let call = &caller.call;
    // A user token may name its user by UUID; sessions are known by username only.
    let user = call.gateway.auth.find_user(super::users::request(call, &user)).await?.username;
    let devices = call.gateway.router.devices(UserRequest { app: call.app_bytes(), user }).await?.devices;
    let data: Vec<Value> = devices
        .into_iter()
        .map(|device| {
            json!({
                "res": device.device,
                "device_uuid": device.device_uuid,
                "device_name": device.device_name,
            })
        })
        .collect();
    let count = data.len();
    Envelope::new(call, "get").data(data.into()).count(count).respond()
}

/// GET or POST `/users/{user}/disconnect` (both are documented, features.md §13): every device, 217. The result is true
/// with no session too.
pub(super) async fn disconnect_all(method: Method, caller: Caller, Path(user): Path<String>) -> Answer {
    disconnect_device(method, caller, Path((user, String::new()))).await
}

/// DELETE or GET `/users/{user}/disconnect/{device}`: one device. The Java server SDK uses GET (server-sdk.md C).
pub(super) async fn disconnect_device(
    method: Method,
    caller: Caller,
    Path((user, device)): Path<(String, String)>,
) -> Answer {
    caller.require_app()?;
    let call = &caller.call;
    disconnect(call, &fold_username(&user), &device, KickReason::OtherDevice).await?;
    Envelope::new(call, &method.as_str().to_ascii_lowercase()).data(json!({ "result": true })).respond()
}
