//! Chat rooms are made and listed (features.md §3.8, msync.md §10).

use axum::extract::Path;
use bulkhead_model::{ErrorKind, fold_username};
use bulkhead_proto::router::{ChannelsOfAppRequest, ChannelsOfUserRequest, QueueKind};
use serde_json::{Value, json};

use super::body::Json;
use super::caller::Caller;
use super::channel_kind::{PAGE_MAX, Rooms, full_name, id_of, numbered_page, settings_of};
use super::channel_request::read_creation;
use super::envelope::{Answer, Envelope};

/// Rooms of a page when the call does not say (features.md §3.8).
const PAGE_DEFAULT: u32 = 10;

/// POST `/chatrooms`. Of users only super admins may, and there are none in this version.
pub(super) async fn create(caller: Caller, Json(body): Json) -> Answer {
    if caller.username().is_some() {
        return Err(ErrorKind::ChannelForbidden.with("only a super admin may create a chat room").into());
    }
    let request = read_creation::<Rooms>(&caller, &body)?;
    let info = caller.call.gateway.router.create_channel(request).await?;
    Envelope::new(&caller.call, "post").data(json!({ "id": id_of(&info) })).respond()
}

/// GET `/chatrooms`: all rooms of the app, by cursor or by number of the page.
pub(super) async fn list(caller: Caller) -> Answer {
    let call = &caller.call;
    let mut request = ChannelsOfAppRequest {
        app: call.app_bytes(),
        kind: QueueKind::Room.into(),
        ..ChannelsOfAppRequest::default()
    };
    if call.query("pagenum").is_some() || call.query("pagesize").is_some() {
        (request.page, request.limit) = numbered_page(call, PAGE_DEFAULT)?;
    } else {
        request.limit = call.limit(PAGE_DEFAULT, PAGE_MAX)?;
        request.cursor = call.query("cursor").unwrap_or_default().to_owned();
    }
    let is_numbered = request.page > 0;
    let page = call.gateway.router.channels_of_app(request).await?;
    let data: Vec<Value> = page
        .channels
        .iter()
        .map(|info| {
            json!({
                "id": id_of(info),
                "name": settings_of(info).name(),
                "owner": info.owner,
                "affiliations_count": info.member_count,
                "disabled": false,
            })
        })
        .collect();
    let count = data.len();
    let answer = Envelope::new(call, "get").params().data(data.into()).count(count);
    if is_numbered { answer.respond() } else { answer.cursor(page.cursor).respond() }
}

/// GET `/users/{user}/joined_chatrooms`; `detail=true` is what the web SDK asks for, under names of its own.
pub(super) async fn joined(caller: Caller, Path(user): Path<String>) -> Answer {
    caller.require_app_or_self(&user)?;
    let call = &caller.call;
    let (page, limit) = numbered_page(call, PAGE_DEFAULT)?;
    let request = ChannelsOfUserRequest {
        app: call.app_bytes(),
        user: caller.username().map_or_else(|| fold_username(&user), str::to_owned),
        kind: QueueKind::Room.into(),
        cursor: String::new(),
        limit,
        page,
    };
    let rooms = call.gateway.router.channels_of_user(request).await?;
    let in_detail = call.query("detail") == Some("true");
    let data: Vec<Value> = rooms
        .channels
        .iter()
        .map(|info| {
            let settings = settings_of(info);
            let mut shown = json!({ "id": id_of(info), "name": settings.name() });
            if in_detail {
                shown["title"] = json!(settings.name());
                shown["owner"] = json!(full_name(call, &info.owner));
                shown["created"] = json!(info.created_ms);
                shown["description"] = json!(settings.description());
                shown["max_users"] = json!(settings.members_max());
            }
            shown
        })
        .collect();
    let count = data.len();
    Envelope::new(call, "get").params().data(data.into()).count(count).respond()
}
