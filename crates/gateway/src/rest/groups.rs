//! Groups are made and listed (features.md §3.6, msync.md §10).

use axum::extract::Path;
use bulkhead_model::fold_username;
use bulkhead_proto::router::{
    ChannelInfo, ChannelPage, ChannelsOfAppRequest, ChannelsOfUserRequest, MemberRole, QueueKind,
};
use serde_json::{Value, json};

use super::body::Json;
use super::call::Call;
use super::caller::Caller;
use super::channel_kind::{Groups, PAGE_MAX, full_name, id_of, numbered_page, settings_of};
use super::channel_request::{invalid_parameter, read_creation};
use super::envelope::{Answer, Envelope};
use super::error::RestError;

/// Groups of a page when `limit` is absent (features.md §3.6).
const PAGE_DEFAULT: u32 = 10;

/// POST `/chatgroups`: `data` holds the id. First members are in at once.
pub(super) async fn create(caller: Caller, Json(body): Json) -> Answer {
    let request = read_creation::<Groups>(&caller, &body)?;
    if request.settings.as_ref().is_some_and(|settings| settings.public.is_none()) {
        return Err(invalid_parameter("group must contain public field!"));
    }
    let info = caller.call.gateway.router.create_channel(request).await?;
    let name = if caller.call.query("version") == Some("v3") { "id" } else { "groupid" };
    Envelope::new(&caller.call, "post").data(json!({ name: id_of(&info) })).respond()
}

/// GET `/chatgroups`: all groups of the app.
pub(super) async fn list(caller: Caller) -> Answer {
    caller.require_app()?;
    let page = of_app(&caller, false).await?;
    let data: Vec<Value> = page
        .channels
        .iter()
        .map(|info| {
            json!({
                "groupid": id_of(info),
                "groupname": settings_of(info).name(),
                "owner": full_name(&caller.call, &info.owner),
                "affiliations": info.member_count,
                "type": "group",
                "lastModified": info.modified_ms.to_string(),
            })
        })
        .collect();
    let count = data.len();
    Envelope::new(&caller.call, "get").params().data(data.into()).count(count).cursor(page.cursor).respond()
}

/// GET `/publicchatgroups`: the groups that everybody may find.
pub(super) async fn list_public(caller: Caller) -> Answer {
    let page = of_app(&caller, true).await?;
    let data: Vec<Value> = page.channels.iter().map(|info| named(&caller.call, info)).collect();
    let count = data.len();
    Envelope::new(&caller.call, "get").params().data(data.into()).count(count).cursor(page.cursor).respond()
}

/// GET `/users/{user}/joined_chatgroups`. Without a page all are answered, which is what clients that ask so expect.
pub(super) async fn joined(caller: Caller, Path(user): Path<String>) -> Answer {
    let (page, limit) = numbered_page(&caller.call, PAGE_MAX)?;
    let groups = of_user(&caller, &user, page, limit).await?;
    let data: Vec<Value> = groups.channels.iter().map(|info| named(&caller.call, info)).collect();
    let count = data.len();
    Envelope::new(&caller.call, "get").params().data(data.into()).count(count).respond()
}

/// GET `/chatgroups/user/{user}`: the newer form, with what a client shows in a list.
pub(super) async fn joined_in_detail(caller: Caller, Path(user): Path<String>) -> Answer {
    let (page, limit) = numbered_page(&caller.call, PAGE_DEFAULT)?;
    let groups = of_user(&caller, &user, page, limit).await?;
    let entities: Vec<Value> = groups.channels.iter().map(detailed).collect();
    let count = entities.len();
    Envelope::new(&caller.call, "get").params().entities(entities).count(count).respond()
}

/// GET `/chatgroups/user/{user}/joined_count`: a bare number.
pub(super) async fn joined_count(caller: Caller, Path(user): Path<String>) -> Answer {
    let groups = of_user(&caller, &user, 0, 0).await?;
    Envelope::new(&caller.call, "get").data(json!(groups.count)).respond()
}

async fn of_app(caller: &Caller, public_only: bool) -> Result<ChannelPage, RestError> {
    let call = &caller.call;
    let request = ChannelsOfAppRequest {
        app: call.app_bytes(),
        kind: QueueKind::Group.into(),
        public_only,
        cursor: call.query("cursor").filter(|cursor| *cursor != "undefined").unwrap_or_default().to_owned(),
        limit: call.limit(PAGE_DEFAULT, PAGE_MAX)?,
        page: 0,
    };
    Ok(call.gateway.router.channels_of_app(request).await?)
}

/// The groups of a user; a user token may ask for its own only.
async fn of_user(caller: &Caller, user: &str, page: u32, limit: u32) -> Result<ChannelPage, RestError> {
    caller.require_app_or_self(user)?;
    let user = caller.username().map_or_else(|| fold_username(user), str::to_owned);
    let request = ChannelsOfUserRequest {
        app: caller.call.app_bytes(),
        user,
        kind: QueueKind::Group.into(),
        cursor: String::new(),
        limit,
        page,
    };
    Ok(caller.call.gateway.router.channels_of_user(request).await?)
}

/// A group in a list; `version=v3`, which the Easemob package asks for, has other names for the fields.
fn named(call: &Call, info: &ChannelInfo) -> Value {
    let (id, settings) = (id_of(info), settings_of(info));
    if call.query("version") == Some("v3") {
        json!({ "id": id, "name": settings.name(), "disabled": false, "permission": permission(info) })
    } else {
        json!({ "groupid": id, "groupname": settings.name() })
    }
}

fn permission(info: &ChannelInfo) -> &'static str {
    match info.role() {
        MemberRole::Owner => "owner",
        MemberRole::Admin => "admin",
        MemberRole::Member => "member",
        MemberRole::None => "none",
    }
}

fn detailed(info: &ChannelInfo) -> Value {
    let settings = settings_of(info);
    json!({
        "groupId": id_of(info),
        "name": settings.name(),
        "description": settings.description(),
        "avatar": settings.avatar(),
        "owner": info.owner,
        "permission": permission(info),
        "affiliations_count": info.member_count,
        "membersonly": settings.approval_needed(),
        "allowinvites": settings.allow_invites(),
        "maxusers": settings.members_max(),
        "public": settings.public(),
        "disabled": false,
    })
}
