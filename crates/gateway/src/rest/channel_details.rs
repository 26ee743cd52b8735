//! GET of one or several groups or rooms with their members (features.md §3.6, §3.8; server-sdk.md F, G).

use axum::extract::Path;
use bulkhead_model::ErrorKind;
use bulkhead_proto::router::{ChannelInfo, ListMembersRequest, Member, MemberRole};
use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};

use super::caller::Caller;
use super::channel_kind::{ChannelKind, PAGE_MAX, find, id_of, settings_of};
use super::envelope::{Answer, Envelope};
use super::error::RestError;

/// Most channels of one call (features.md §3.6).
const IDS_MAX: usize = 100;

/// Channels that are looked up at once.
const LOOKUPS_AT_ONCE: usize = 8;

/// GET of `id1,id2…`. Those that are not there are left out; when none is, the call is 404.
pub(super) async fn details<K: ChannelKind>(caller: Caller, Path(ids): Path<String>) -> Answer {
    let ids: Vec<&str> = ids.split(',').filter(|id| !id.is_empty()).collect();
    if ids.is_empty() || ids.len() > IDS_MAX {
        return Err(RestError::illegal(format!("between 1 and {IDS_MAX} ids at once")));
    }
    let with_times = caller.call.query("joined_time") == Some("true");
    let lookups: Vec<_> = ids.iter().map(|id| entity::<K>(&caller, id, with_times)).collect();
    let found: Vec<Result<Value, RestError>> =
        stream::iter(lookups).buffered(LOOKUPS_AT_ONCE).collect().await;
    let mut data = Vec::with_capacity(found.len());
    let not_found = RestError::from(ErrorKind::ChannelNotFound);
    for entity in found {
        match entity {
            Ok(entity) => data.push(entity),
            Err(error) if error.error == not_found.error => {}
            Err(error) => return Err(error),
        }
    }
    if data.is_empty() {
        return Err(not_found);
    }
    let count = data.len();
    Envelope::new(&caller.call, "get").params().data(data.into()).count(count).respond()
}

async fn entity<K: ChannelKind>(caller: &Caller, id: &str, with_times: bool) -> Result<Value, RestError> {
    let info = find::<K>(caller, id).await?;
    let request = ListMembersRequest {
        app: caller.call.app_bytes(),
        channel: info.channel.clone(),
        actor: caller.actor(),
        cursor: String::new(),
        limit: PAGE_MAX,
        page: 0,
    };
    let members = match caller.call.gateway.router.members(request).await {
        Ok(page) => page.members,
        // A public group can be seen by all, its members by themselves only.
        Err(error) if error.kind() == ErrorKind::NotMember => {
            vec![Member { user: info.owner.clone(), role: MemberRole::Owner.into(), joined_ms: 0 }]
        }
        Err(error) => return Err(error.into()),
    };
    Ok(shown(&info, &members, with_times))
}

fn shown(info: &ChannelInfo, members: &[Member], with_times: bool) -> Value {
    let settings = settings_of(info);
    let affiliations: Vec<Value> = members
        .iter()
        .map(|member| {
            let role = if member.role() == MemberRole::Owner { "owner" } else { "member" };
            let mut shown = json!({ role: member.user });
            if with_times && member.joined_ms > 0 {
                shown["joined_time"] = json!(member.joined_ms);
            }
            shown
        })
        .collect();
    json!({
        "id": id_of(info),
        "name": settings.name(),
        "avatar": settings.avatar(),
        "description": settings.description(),
        "membersonly": settings.approval_needed(),
        "allowinvites": settings.allow_invites(),
        "invite_need_confirm": settings.invite_need_confirm(),
        "maxusers": settings.members_max(),
        "owner": info.owner,
        "created": info.created_ms,
        "custom": settings.custom(),
        "mute": false,
        "disabled": false,
        "shieldgroup": false,
        "public": settings.public(),
        "affiliations_count": info.member_count,
        "affiliations": affiliations,
    })
}
