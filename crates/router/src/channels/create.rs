//! A group or room is made.

use bulkhead_model::{ErrorKind, Result};
use bulkhead_proto::records::{self, ChannelRole};
use bulkhead_proto::router::{Actor, ChannelSettings};

use super::change::{Ids, info_of};
use super::draft::Draft;
use super::effect::{Audience, Changed, Note, Step};
use super::event::Operation;
use super::limits::{GROUP_MEMBERS_DEFAULT, ROOM_MEMBERS_DEFAULT};

/// What a new channel is to be.
pub(crate) struct Creation {
    pub(crate) owner: String,
    pub(crate) settings: ChannelSettings,
    /// Besides the owner.
    pub(crate) members: Vec<String>,
}

/// `ChannelExists`, `ChannelFull`.
pub(super) fn create(
    draft: &mut Draft,
    creation: &Creation,
    actor: Option<&Actor>,
    ids: &mut Ids<'_>,
    steps: &mut Vec<Step>,
) -> Result<Changed> {
    if draft.record().is_some() {
        return Err(ErrorKind::ChannelExists.into());
    }
    let record = record_of(creation, draft.key().is_room(), ids.now_ms());
    let mut members: Vec<&String> = Vec::with_capacity(creation.members.len());
    for member in &creation.members {
        if *member != creation.owner && !members.contains(&member) {
            members.push(member);
        }
    }
    if members.len() >= record.members_max as usize {
        return Err(ErrorKind::ChannelFull.into());
    }
    let name = record.name.clone();
    draft.set_record(record);
    let joined_id = ids.next();
    draft.put_member(&creation.owner, draft.member_from(ChannelRole::Owner, joined_id, ids.now_ms()));
    for member in &members {
        draft.put_member(member, draft.member_from(ChannelRole::Member, joined_id, ids.now_ms()));
    }

    let mut users = vec![creation.owner.clone()];
    users.extend(members.iter().map(|member| (*member).clone()));
    steps.push(Step::Enter { id: ids.next(), users, ext: String::new(), count: draft.count() });
    let by = actor.filter(|actor| actor.user == creation.owner);
    steps.push(Step::Tell(Box::new(Note {
        id: ids.next(),
        operation: Operation::Create,
        from: creation.owner.clone(),
        to: Some(creation.owner.clone()),
        name: name.clone(),
        detail: String::new(),
        audience: Audience::User {
            user: creation.owner.clone(),
            except_device: by.map(|actor| actor.device.clone()).unwrap_or_default(),
        },
    })));
    for member in members {
        steps.push(direct_joined(ids, &creation.owner, member, &name));
    }
    Ok(Changed { info: info_of(draft, Some(&creation.owner)), ..Changed::default() })
}

/// Tells a user that somebody put them in.
pub(super) fn direct_joined(ids: &mut Ids<'_>, by: &str, user: &str, name: &str) -> Step {
    Step::Tell(Box::new(Note {
        id: ids.next(),
        operation: Operation::DirectJoined,
        from: by.to_owned(),
        to: Some(user.to_owned()),
        name: name.to_owned(),
        detail: String::new(),
        audience: Audience::User { user: user.to_owned(), except_device: String::new() },
    }))
}

fn record_of(creation: &Creation, is_room: bool, now_ms: u64) -> records::Channel {
    let settings = creation.settings.clone();
    let members_default = if is_room { ROOM_MEMBERS_DEFAULT } else { GROUP_MEMBERS_DEFAULT };
    records::Channel {
        name: settings.name.unwrap_or_default(),
        description: settings.description.unwrap_or_default(),
        owner: creation.owner.clone(),
        public: is_room || settings.public.unwrap_or_default(),
        approval_needed: settings.approval_needed.unwrap_or_default(),
        allow_invites: settings.allow_invites.unwrap_or_default(),
        invite_need_confirm: settings.invite_need_confirm.unwrap_or_default(),
        members_max: settings.members_max.unwrap_or(members_default),
        custom: settings.custom.unwrap_or_default(),
        avatar: settings.avatar.unwrap_or_default(),
        created_ms: now_ms,
        modified_ms: now_ms,
        member_count: 0,
    }
}
