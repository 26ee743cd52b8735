//! A user comes into a group, leaves a group or room, or asks whether it is in one (features.md §3.7).

use axum::extract::Path;
use bulkhead_model::fold_username;
use bulkhead_proto::router::{JoinRequest, MemberRequest, MemberRole};
use serde_json::json;

use super::caller::Caller;
use super::channel_kind::ChannelKind;
use super::envelope::{Answer, Envelope};

/// POST `…/{id}/apply`: the caller joins a public group that needs no approval.
pub(super) async fn apply<K: ChannelKind>(caller: Caller, Path(id): Path<String>) -> Answer {
    let actor = caller.require_user()?;
    let data = json!({ "result": true, "action": "apply", "user": actor.user, "id": id });
    let request = JoinRequest {
        app: caller.call.app_bytes(),
        channel: Some(K::queue(&id)),
        user: actor.user,
        device: actor.device,
        ..JoinRequest::default()
    };
    caller.call.gateway.router.join(request).await?;
    Envelope::new(&caller.call, "post").data(data).respond()
}

/// DELETE `…/{id}/quit`: the caller leaves.
pub(super) async fn quit<K: ChannelKind>(caller: Caller, Path(id): Path<String>) -> Answer {
    let actor = caller.require_user()?;
    let request = MemberRequest {
        app: caller.call.app_bytes(),
        channel: Some(K::queue(&id)),
        user: actor.user,
        device: actor.device,
    };
    caller.call.gateway.router.leave(request).await?;
    Envelope::new(&caller.call, "delete").data(json!({ "result": true })).respond()
}

/// GET `…/{id}/user/{user}/is_joined`: a bare boolean. A user token asks about its user only.
pub(super) async fn is_joined<K: ChannelKind>(
    caller: Caller,
    Path((id, user)): Path<(String, String)>,
) -> Answer {
    caller.require_app_or_self(&user)?;
    let user = caller.username().map_or_else(|| fold_username(&user), str::to_owned);
    let request = MemberRequest {
        app: caller.call.app_bytes(),
        channel: Some(K::queue(&id)),
        user,
        device: String::new(),
    };
    let member = caller.call.gateway.router.member(request).await?;
    Envelope::new(&caller.call, "get").data(json!(member.role() != MemberRole::None)).respond()
}
