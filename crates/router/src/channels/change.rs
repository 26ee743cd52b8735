//! A change of a group or room, as its lane makes it: judged and put into the draft.

use bulkhead_model::{ErrorKind, MessageId, Result};
use bulkhead_proto::records::{self, ChannelRole};
use bulkhead_proto::router::{Actor, ChannelInfo, ChannelSettings, MemberChange, MemberRole};
use bulkhead_store::Mutation;
use tokio::sync::oneshot;

use super::create::{Creation, create, direct_joined};
use super::draft::Draft;
use super::effect::{Audience, Changed, Note, Step};
use super::event::Operation;
use super::key::ChannelRef;
use super::rights::{expect_inviter, expect_manager, expect_owner, may_remove, not_allowed};

/// A change in a lane's queue.
pub(crate) struct ChangeJob {
    pub(crate) key: ChannelRef,
    pub(crate) slot: u16,
    /// `None` for app privilege.
    pub(crate) actor: Option<Actor>,
    pub(crate) change: Change,
    pub(crate) answer: oneshot::Sender<Result<Changed>>,
}

pub(crate) enum Change {
    Create(Box<Creation>),
    Destroy,
    Update(Box<ChannelSettings>),
    Owner(String),
    Add(Vec<String>),
    Remove(Vec<String>),
    Join {
        user: String,
        ext: String,
    },
    Leave {
        user: String,
    },
    /// The user is gone: from a room that was not left, or for good.
    Expel {
        user: String,
    },
}

/// Gives the ids of a change and of what is told of it.
pub(crate) struct Ids<'a> {
    last: &'a mut MessageId,
    now_ms: u64,
    slot: u16,
}

impl<'a> Ids<'a> {
    pub(crate) fn new(last: &'a mut MessageId, now_ms: u64, slot: u16) -> Self {
        Self { last, now_ms, slot }
    }

    pub(crate) fn next(&mut self) -> u64 {
        *self.last = self.last.next(self.now_ms, self.slot);
        self.last.0
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ms
    }
}

/// Makes a change. One that is refused changes nothing.
pub(crate) fn apply(
    draft: &mut Draft,
    job: &ChangeJob,
    ids: &mut Ids<'_>,
    mutations: &mut Vec<Mutation>,
    steps: &mut Vec<Step>,
) -> Result<Changed> {
    let actor = job.actor.as_ref();
    if let Change::Create(creation) = &job.change {
        return create(draft, creation, actor, ids, steps);
    }
    let record = draft.record().ok_or(ErrorKind::ChannelNotFound)?.clone();
    match &job.change {
        Change::Create(_) => Err(ErrorKind::Internal.into()),
        Change::Destroy => {
            expect_owner(draft, actor)?;
            destroy(draft, &record, actor, ids, mutations, steps);
            Ok(Changed::default())
        }
        Change::Update(settings) => {
            expect_manager(draft, actor)?;
            update(draft, record, settings, actor, ids, steps)
        }
        Change::Owner(owner) => {
            expect_owner(draft, actor)?;
            change_owner(draft, record, owner, ids, steps)
        }
        Change::Add(users) => {
            expect_inviter(draft, actor)?;
            add(draft, &record, users, actor, ids, steps)
        }
        Change::Remove(users) => {
            expect_manager(draft, actor)?;
            Ok(remove(draft, &record, users, actor, ids, steps))
        }
        Change::Join { user, ext } => join(draft, &record, user, ext, ids, steps),
        Change::Leave { user } => {
            let member = draft.member(user).ok_or(ErrorKind::NotMember)?;
            if member.role() == ChannelRole::Owner {
                return Err(not_allowed("owner can not quit group"));
            }
            exit(draft, user, ids, steps);
            Ok(Changed::default())
        }
        Change::Expel { user } => {
            if draft.member(user).is_some_and(|member| member.role() != ChannelRole::Owner) {
                exit(draft, user, ids, steps);
            }
            Ok(Changed::default())
        }
    }
}

/// A channel as `user` sees it.
pub(crate) fn info_of(draft: &Draft, user: Option<&str>) -> ChannelInfo {
    let Some(record) = draft.record() else { return ChannelInfo::default() };
    let member = user.and_then(|user| draft.member(user));
    ChannelInfo { member_count: draft.count() as u32, ..info(draft.key(), record, member.as_ref()) }
}

/// A stored channel as the member sees it.
pub(crate) fn info(
    key: &ChannelRef,
    record: &records::Channel,
    member: Option<&records::Member>,
) -> ChannelInfo {
    let record = record.clone();
    ChannelInfo {
        channel: Some(key.queue()),
        settings: Some(ChannelSettings {
            name: Some(record.name),
            description: Some(record.description),
            public: Some(record.public),
            approval_needed: Some(record.approval_needed),
            allow_invites: Some(record.allow_invites),
            invite_need_confirm: Some(record.invite_need_confirm),
            members_max: Some(record.members_max),
            custom: Some(record.custom),
            avatar: Some(record.avatar),
        }),
        owner: record.owner,
        created_ms: record.created_ms,
        modified_ms: record.modified_ms,
        member_count: record.member_count,
        role: role(member).into(),
        joined_ms: member.map(|member| member.joined_ms).unwrap_or_default(),
    }
}

/// How a member stands, in the words of the router's answers.
pub(crate) fn role(member: Option<&records::Member>) -> MemberRole {
    match member.map(records::Member::role) {
        None => MemberRole::None,
        Some(ChannelRole::Member) => MemberRole::Member,
        Some(ChannelRole::Admin) => MemberRole::Admin,
        Some(ChannelRole::Owner) => MemberRole::Owner,
    }
}

fn destroy(
    draft: &mut Draft,
    record: &records::Channel,
    actor: Option<&Actor>,
    ids: &mut Ids<'_>,
    mutations: &mut Vec<Mutation>,
    steps: &mut Vec<Step>,
) {
    steps.push(told_to_all(ids, Operation::Destroy, record, actor, String::new()));
    steps.push(Step::Drop { users: draft.users().map(str::to_owned).collect() });
    draft.destroy(mutations);
}

fn update(
    draft: &mut Draft,
    mut record: records::Channel,
    settings: &ChannelSettings,
    actor: Option<&Actor>,
    ids: &mut Ids<'_>,
    steps: &mut Vec<Step>,
) -> Result<Changed> {
    if settings.members_max.is_some_and(|members| (members as usize) < draft.count()) {
        return Err(not_allowed("members size is greater than max user size !"));
    }
    let mut told = serde_json::Map::new();
    let mut text = |key: &str, old: &mut String, new: &Option<String>| {
        if let Some(new) = new {
            told.insert(key.into(), new.as_str().into());
            old.clone_from(new);
        }
    };
    text("name", &mut record.name, &settings.name);
    text("description", &mut record.description, &settings.description);
    text("custom", &mut record.custom, &settings.custom);
    text("avatar", &mut record.avatar, &settings.avatar);
    let mut flag = |key: &str, old: &mut bool, new: Option<bool>| {
        if let Some(new) = new {
            told.insert(key.into(), new.into());
            *old = new;
        }
    };
    flag("public", &mut record.public, settings.public.filter(|_| !draft.key().is_room()));
    flag("members_only", &mut record.approval_needed, settings.approval_needed);
    flag("allow_user_invites", &mut record.allow_invites, settings.allow_invites);
    flag("invite_need_confirm", &mut record.invite_need_confirm, settings.invite_need_confirm);
    if let Some(members_max) = settings.members_max {
        told.insert("max_users".into(), members_max.into());
        record.members_max = members_max;
    }
    record.modified_ms = ids.now_ms();
    told.insert("last_modified".into(), record.modified_ms.to_string().into());
    steps.push(told_to_all(
        ids,
        Operation::Update,
        &record,
        actor,
        serde_json::Value::Object(told).to_string(),
    ));
    draft.set_record(record);
    Ok(Changed { info: info_of(draft, actor.map(|actor| actor.user.as_str())), ..Changed::default() })
}

fn change_owner(
    draft: &mut Draft,
    mut record: records::Channel,
    owner: &str,
    ids: &mut Ids<'_>,
    steps: &mut Vec<Step>,
) -> Result<Changed> {
    if record.owner == owner {
        return Err(not_allowed("new owner and old owner are the same"));
    }
    let mut new =
        draft.member(owner).ok_or_else(|| not_allowed("new owner is not a member of this group"))?;
    new.set_role(ChannelRole::Owner);
    let old_owner = std::mem::replace(&mut record.owner, owner.to_owned());
    if let Some(mut old) = draft.member(&old_owner) {
        old.set_role(ChannelRole::Member);
        draft.put_member(&old_owner, old);
    }
    draft.put_member(owner, new);
    record.modified_ms = ids.now_ms();
    steps.push(Step::Tell(Box::new(Note {
        id: ids.next(),
        operation: Operation::AssignOwner,
        from: old_owner,
        to: Some(owner.to_owned()),
        name: String::new(),
        detail: String::new(),
        audience: Audience::Members { except_user: String::new(), except_device: String::new() },
    })));
    draft.set_record(record);
    Ok(Changed { info: info_of(draft, Some(owner)), ..Changed::default() })
}

fn add(
    draft: &mut Draft,
    record: &records::Channel,
    users: &[String],
    actor: Option<&Actor>,
    ids: &mut Ids<'_>,
    steps: &mut Vec<Step>,
) -> Result<Changed> {
    let mut changes: Vec<MemberChange> = Vec::with_capacity(users.len());
    for user in users {
        if changes.iter().any(|change| change.user == *user) {
            continue;
        }
        let is_member = draft.member(user).is_some();
        let reason = if is_member { format!("user {user} already in group") } else { String::new() };
        changes.push(MemberChange { user: user.clone(), changed: !is_member, reason });
    }
    let added: Vec<String> =
        changes.iter().filter(|change| change.changed).map(|change| change.user.clone()).collect();
    if draft.count() + added.len() > record.members_max as usize {
        return Err(ErrorKind::ChannelFull.into());
    }
    if !added.is_empty() {
        let joined_id = ids.next();
        for user in &added {
            draft.put_member(user, draft.member_from(ChannelRole::Member, joined_id, ids.now_ms()));
        }
        let (id, count) = (ids.next(), draft.count());
        steps.push(Step::Enter { id, users: added.clone(), ext: String::new(), count });
        let by = actor.map_or(record.owner.as_str(), |actor| actor.user.as_str());
        steps.extend(added.iter().map(|user| direct_joined(ids, by, user, &record.name)));
    }
    Ok(Changed { changes, ..Changed::default() })
}

fn remove(
    draft: &mut Draft,
    record: &records::Channel,
    users: &[String],
    actor: Option<&Actor>,
    ids: &mut Ids<'_>,
    steps: &mut Vec<Step>,
) -> Changed {
    let mut changes: Vec<MemberChange> = Vec::with_capacity(users.len());
    let mut removed = Vec::new();
    for user in users {
        if changes.iter().any(|change| change.user == *user) {
            continue;
        }
        let reason = match draft.member(user) {
            None => format!("user: {user} doesn't exist in group: {}", draft.key().queue().name),
            Some(member) if !may_remove(draft, actor, member.role()) => {
                "forbidden op on owner or admin".into()
            }
            Some(_) => {
                draft.remove_member(user);
                removed.push(user.clone());
                String::new()
            }
        };
        changes.push(MemberChange { user: user.clone(), changed: reason.is_empty(), reason });
    }
    if !removed.is_empty() {
        steps.push(Step::Exit { id: ids.next(), users: removed.clone(), count: draft.count() });
        let by = actor.map_or(record.owner.as_str(), |actor| actor.user.as_str());
        for user in removed {
            steps.push(Step::Tell(Box::new(Note {
                id: ids.next(),
                operation: Operation::Kick,
                from: by.to_owned(),
                to: Some(user.clone()),
                name: record.name.clone(),
                detail: String::new(),
                audience: Audience::User { user, except_device: String::new() },
            })));
        }
    }
    Changed { changes, ..Changed::default() }
}

fn join(
    draft: &mut Draft,
    record: &records::Channel,
    user: &str,
    ext: &str,
    ids: &mut Ids<'_>,
    steps: &mut Vec<Step>,
) -> Result<Changed> {
    let already = draft.member(user).is_some();
    if !already {
        if !record.public {
            // Told like one that is not there: who is not in it learns nothing of it.
            return Err(ErrorKind::ChannelNotFound.into());
        }
        if record.approval_needed {
            return Err(not_allowed("joining this group needs an approval"));
        }
        if draft.count() >= record.members_max as usize {
            return Err(ErrorKind::ChannelFull.into());
        }
        let joined_id = ids.next();
        draft.put_member(user, draft.member_from(ChannelRole::Member, joined_id, ids.now_ms()));
        let (id, users, count) = (ids.next(), vec![user.to_owned()], draft.count());
        steps.push(Step::Enter { id, users, ext: ext.to_owned(), count });
    }
    Ok(Changed { info: info_of(draft, Some(user)), already, ..Changed::default() })
}

fn exit(draft: &mut Draft, user: &str, ids: &mut Ids<'_>, steps: &mut Vec<Step>) {
    draft.remove_member(user);
    steps.push(Step::Exit { id: ids.next(), users: vec![user.to_owned()], count: draft.count() });
}

fn told_to_all(
    ids: &mut Ids<'_>,
    operation: Operation,
    record: &records::Channel,
    actor: Option<&Actor>,
    detail: String,
) -> Step {
    Step::Tell(Box::new(Note {
        id: ids.next(),
        operation,
        from: actor.map_or(&record.owner, |actor| &actor.user).clone(),
        to: None,
        name: record.name.clone(),
        detail,
        audience: Audience::Members {
            except_user: actor.map(|actor| actor.user.clone()).unwrap_or_default(),
            except_device: actor.map(|actor| actor.device.clone()).unwrap_or_default(),
        },
    }))
}
