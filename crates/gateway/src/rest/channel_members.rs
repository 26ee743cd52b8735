//! Members of a group or room: listed, added, removed (features.md §3.7, §3.8).

use axum::extract::Path;
use bulkhead_model::{ErrorKind, fold_username};
use bulkhead_proto::router::{
    JoinRequest, ListMembersRequest, Member, MemberChange, MemberRole, MembersRequest, QueueKind,
};
use serde_json::{Value, json};

use super::body::{Json, names};
use super::caller::Caller;
use super::channel_kind::{ChannelKind, PAGE_MAX, numbered_page};
use super::envelope::{Answer, Envelope};
use super::error::RestError;

/// Members of a page when the call does not say (features.md §3.7).
const PAGE_DEFAULT: u32 = 10;

/// Most users that one call may add (features.md §3.7).
const ADDED_MAX: usize = 60;

/// GET `…/{id}/users`. Three forms: numbered pages and cursored ones, both of `{role: user}`, and cursored ones with
/// `version=v3`, which hold bare names without the owner's. All are in the order of the names.
pub(super) async fn list<K: ChannelKind>(caller: Caller, Path(id): Path<String>) -> Answer {
    let call = &caller.call;
    let mut request = ListMembersRequest {
        app: call.app_bytes(),
        channel: Some(K::queue(&id)),
        actor: caller.actor(),
        ..ListMembersRequest::default()
    };
    let is_newer = call.query("version") == Some("v3");
    let has_number = call.query("pagenum").is_some() || call.query("pagesize").is_some();
    let has_cursor = call.query("limit").is_some() || call.query("cursor").is_some();
    if has_cursor || (is_newer && !has_number) {
        request.limit = call.limit(PAGE_DEFAULT, PAGE_MAX)?;
        request.cursor =
            call.query("cursor").filter(|cursor| *cursor != "undefined").unwrap_or_default().into();
    } else {
        (request.page, request.limit) = numbered_page(call, PAGE_DEFAULT)?;
    }
    let is_numbered = request.page > 0;
    let page = call.gateway.router.members(request).await?;
    let with_times = call.query("joined_time") == Some("true");
    let data: Vec<Value> = if is_newer && !is_numbered {
        let others = page.members.iter().filter(|member| member.role() != MemberRole::Owner);
        others.map(|member| newer(member, with_times)).collect()
    } else {
        page.members.iter().map(|member| shown(member, with_times)).collect()
    };
    let count = data.len();
    let answer = Envelope::new(call, "get").params().data(data.into()).count(count);
    if is_numbered { answer.respond() } else { answer.cursor(page.cursor).respond() }
}

/// POST `…/{id}/users/{user}`: one user is put in; a user token that names itself joins a room.
pub(super) async fn add_one<K: ChannelKind>(
    caller: Caller,
    Path((id, user)): Path<(String, String)>,
) -> Answer {
    let user = fold_username(&user);
    let joins = K::KIND == QueueKind::Room && caller.username() == Some(&user);
    if joins {
        let actor = caller.require_user()?;
        let request = JoinRequest {
            app: caller.call.app_bytes(),
            channel: Some(K::queue(&id)),
            user: actor.user,
            device: actor.device,
            ..JoinRequest::default()
        };
        caller.call.gateway.router.join(request).await?;
    } else {
        let changes = add::<K>(&caller, &id, vec![user.clone()]).await?;
        expect_changed(changes)?;
    }
    let data = json!({ "result": true, K::ID: id, "action": "add_member", "user": user });
    Envelope::new(&caller.call, "post").data(data).respond()
}

/// POST `…/{id}/users` with `usernames`: `newmembers` are those who were not in it before.
pub(super) async fn add_many<K: ChannelKind>(
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json,
) -> Answer {
    let changes = add::<K>(&caller, &id, names(&body, "usernames", ADDED_MAX)?).await?;
    let added: Vec<String> =
        changes.into_iter().filter(|change| change.changed).map(|change| change.user).collect();
    let data = json!({ "newmembers": added, K::ID: id, "action": "add_member" });
    Envelope::new(&caller.call, "post").data(data).respond()
}

/// DELETE `…/{id}/users/{u1,u2…}`: one name is answered as an object or refused, several are answered one by one.
pub(super) async fn remove<K: ChannelKind>(
    caller: Caller,
    Path((id, users)): Path<(String, String)>,
) -> Answer {
    let users: Vec<String> = users.split(',').filter(|user| !user.is_empty()).map(fold_username).collect();
    if users.is_empty() || users.len() > K::REMOVED_MAX {
        return Err(RestError::illegal(format!("between 1 and {} usernames at once", K::REMOVED_MAX)));
    }
    let is_one = users.len() == 1;
    let request = request::<K>(&caller, &id, users);
    let changes = caller.call.gateway.router.remove_members(request).await?.changes;
    let data: Vec<Value> = changes.iter().map(|change| entry::<K>(&id, "remove_member", change)).collect();
    let answer = Envelope::new(&caller.call, "delete");
    if is_one {
        expect_changed(changes)?;
        let first = data.into_iter().next().ok_or(ErrorKind::Internal)?;
        return answer.data(first).respond();
    }
    answer.data(data.into()).respond()
}

/// POST `/chatgroups/{id}/invite` with `usernames`: whoever is invited is in at once.
pub(super) async fn invite<K: ChannelKind>(
    caller: Caller,
    Path(id): Path<String>,
    Json(body): Json,
) -> Answer {
    let changes = add::<K>(&caller, &id, names(&body, "usernames", ADDED_MAX)?).await?;
    let data: Vec<Value> = changes
        .iter()
        .map(|change| {
            let mut shown = entry::<K>(&id, "invite", change);
            shown["id"] = json!(id);
            shown
        })
        .collect();
    Envelope::new(&caller.call, "post").data(data.into()).respond()
}

async fn add<K: ChannelKind>(
    caller: &Caller,
    id: &str,
    users: Vec<String>,
) -> Result<Vec<MemberChange>, RestError> {
    let users = users.iter().map(|user| fold_username(user)).collect();
    let request = request::<K>(caller, id, users);
    Ok(caller.call.gateway.router.add_members(request).await?.changes)
}

fn request<K: ChannelKind>(caller: &Caller, id: &str, users: Vec<String>) -> MembersRequest {
    MembersRequest { app: caller.call.app_bytes(), channel: Some(K::queue(id)), actor: caller.actor(), users }
}

/// 403 with the router's reason for a single user with whom nothing was done.
fn expect_changed(changes: Vec<MemberChange>) -> Result<(), RestError> {
    match changes.into_iter().find(|change| !change.changed) {
        Some(change) => Err(ErrorKind::ChannelForbidden.with(change.reason).into()),
        None => Ok(()),
    }
}

fn entry<K: ChannelKind>(id: &str, action: &str, change: &MemberChange) -> Value {
    let mut shown = json!({ "result": change.changed, "action": action, "user": change.user, K::ID: id });
    if !change.reason.is_empty() {
        shown["reason"] = json!(change.reason);
    }
    shown
}

fn shown(member: &Member, with_times: bool) -> Value {
    let role = match member.role() {
        MemberRole::Owner => "owner",
        MemberRole::Admin => "admin",
        MemberRole::Member | MemberRole::None => "member",
    };
    let mut shown = json!({ role: member.user });
    if with_times {
        shown["joined_time"] = json!(member.joined_ms);
    }
    shown
}

fn newer(member: &Member, with_times: bool) -> Value {
    if with_times {
        json!({ "member_name": member.user, "joined_time": member.joined_ms })
    } else {
        json!(member.user)
    }
}
