//! The calls that change groups and rooms: checked, put into the queue of the channel's lane, and answered when they are
//! durable.

use std::sync::atomic::{AtomicU64, Ordering};

use bulkhead_model::{AppUuid, Channel, Error, ErrorKind, Result, username_is_legal};
use bulkhead_proto::router::{
    Actor, ChangeOwnerRequest, ChannelInfo, ChannelRequest, CreateChannelRequest, JoinRequest, Joined,
    MemberRequest, MembersChanged, MembersRequest, Queue, UpdateChannelRequest,
};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::sync::{mpsc, oneshot};

use super::change::{Change, ChangeJob};
use super::create::Creation;
use super::effect::Changed;
use super::key::{ChannelRef, is_of_many};
use super::limits::{CHANNELS_PER_USER_MAX, EXT_BYTES_MAX, USERS_PER_CALL_MAX, check_settings};
use super::read;
use crate::core::Core;
use crate::publish::{channel_of, check_device, check_user};
use crate::sequence::timely;
use crate::work::{Queues, Task, Work};

/// Questions about users that are asked at once.
const QUESTIONS_AT_ONCE: usize = 32;

/// How often a made id may turn out to be taken.
const ID_ATTEMPTS_MAX: usize = 8;

/// Ids that are made to find one of a slot that this router owns.
const FRESH_IDS_MAX: usize = 1024;

/// 2020-01-01T00:00:00Z, as in message ids.
const EPOCH_MS: u64 = 1_577_836_800_000;

pub(crate) async fn create(
    core: &Core,
    queues: &Queues,
    request: CreateChannelRequest,
) -> Result<ChannelInfo> {
    let app = AppUuid::from_slice(&request.app)?;
    let settings = request.settings.clone().unwrap_or_default();
    check_settings(&settings)?;
    check_actor(request.actor.as_ref())?;
    if settings.name.is_none() {
        return Err(ErrorKind::InvalidArgument.with("a group or room has a name"));
    }
    if request.members.len() > USERS_PER_CALL_MAX {
        return Err(too_many_users());
    }
    let mut users = vec![request.owner.clone()];
    users.extend(request.members.iter().cloned());
    expect_users(core, app, &users).await?;
    for attempt in 1.. {
        let key = if request.id.is_empty() {
            fresh_key(core, app, request.kind)?
        } else {
            key_of(app, &Queue { name: request.id.clone(), kind: request.kind })?
        };
        expect_room_for(core, app, &users).await?;
        let creation = Creation {
            owner: request.owner.clone(),
            settings: settings.clone(),
            members: request.members.clone(),
        };
        let change = Change::Create(Box::new(creation));
        match submit(core, queues, key, request.actor.clone(), change).await {
            Err(error)
                if error.kind() == ErrorKind::ChannelExists
                    && request.id.is_empty()
                    && attempt < ID_ATTEMPTS_MAX => {}
            outcome => return outcome.map(|changed| changed.info),
        }
    }
    Err(ErrorKind::ChannelExists.into())
}

pub(crate) async fn destroy(core: &Core, queues: &Queues, request: ChannelRequest) -> Result<()> {
    let key = named(&request.app, request.channel.as_ref())?;
    check_actor(request.actor.as_ref())?;
    submit(core, queues, key, request.actor, Change::Destroy).await.map(|_| ())
}

pub(crate) async fn update(
    core: &Core,
    queues: &Queues,
    request: UpdateChannelRequest,
) -> Result<ChannelInfo> {
    let key = named(&request.app, request.channel.as_ref())?;
    check_actor(request.actor.as_ref())?;
    let settings = request.settings.unwrap_or_default();
    check_settings(&settings)?;
    let change = Change::Update(Box::new(settings));
    submit(core, queues, key, request.actor, change).await.map(|changed| changed.info)
}

pub(crate) async fn change_owner(
    core: &Core,
    queues: &Queues,
    request: ChangeOwnerRequest,
) -> Result<ChannelInfo> {
    let key = named(&request.app, request.channel.as_ref())?;
    check_actor(request.actor.as_ref())?;
    check_user(&request.owner)?;
    let change = Change::Owner(request.owner);
    submit(core, queues, key, request.actor, change).await.map(|changed| changed.info)
}

pub(crate) async fn add_members(
    core: &Core,
    queues: &Queues,
    request: MembersRequest,
) -> Result<MembersChanged> {
    let key = named(&request.app, request.channel.as_ref())?;
    check_actor(request.actor.as_ref())?;
    check_users(&request.users)?;
    // Rights first: who may not invite learns nothing about who exists.
    if let Some(actor) = &request.actor {
        read::expect_member(core, &key, &actor.user).await?;
    }
    expect_users(core, key.app(), &request.users).await?;
    expect_room_for(core, key.app(), &request.users).await?;
    let changed = submit(core, queues, key, request.actor, Change::Add(request.users)).await?;
    Ok(MembersChanged { changes: changed.changes })
}

pub(crate) async fn remove_members(
    core: &Core,
    queues: &Queues,
    request: MembersRequest,
) -> Result<MembersChanged> {
    let key = named(&request.app, request.channel.as_ref())?;
    check_actor(request.actor.as_ref())?;
    check_users(&request.users)?;
    let changed = submit(core, queues, key, request.actor, Change::Remove(request.users)).await?;
    Ok(MembersChanged { changes: changed.changes })
}

pub(crate) async fn join(core: &Core, queues: &Queues, request: JoinRequest) -> Result<Joined> {
    let key = named(&request.app, request.channel.as_ref())?;
    check_user(&request.user)?;
    if request.ext.len() > EXT_BYTES_MAX {
        return Err(ErrorKind::InvalidArgument.with("ext is at most 1024 bytes"));
    }
    let users = [request.user];
    let (app, user) = (key.app(), &users[0]);
    // Whoever has a session exists.
    if !core.sessions.is_online(app, user) {
        expect_users(core, app, &users).await?;
    }
    let others: Vec<ChannelRef> = if request.leave_other_rooms && key.is_room() {
        let rooms = read::channel_keys_of_user(core, app, user).await?;
        rooms.into_iter().filter(|room| room.is_room() && *room != key).collect()
    } else {
        Vec::new()
    };
    expect_room_for(core, app, &users).await?;
    let change = Change::Join { user: user.clone(), ext: request.ext };
    let changed = submit(core, queues, key, None, change).await?;
    for room in others {
        // A room that the user owns, or that is gone meanwhile, does not stand in the way.
        submit(core, queues, room, None, Change::Expel { user: user.clone() }).await.or_else(ignore_gone)?;
    }
    Ok(Joined { channel: Some(changed.info), already: changed.already })
}

pub(crate) async fn leave(core: &Core, queues: &Queues, request: MemberRequest) -> Result<()> {
    let key = named(&request.app, request.channel.as_ref())?;
    check_user(&request.user)?;
    submit(core, queues, key, None, Change::Leave { user: request.user }).await.map(|_| ())
}

/// A user is gone for good: out of every channel, and what the user owns is destroyed (features.md §3.2).
///
/// Answers the channels that it was taken out of. The rows of the others stay for the routers that own these: whoever
/// deleted them would leave the user in there.
pub(crate) async fn forget_user(
    core: &Core,
    queues: &Queues,
    app: AppUuid,
    user: &str,
) -> Result<Vec<ChannelRef>> {
    let mut left = Vec::new();
    for key in read::channel_keys_of_user(core, app, user).await? {
        let owned = read::record_of(core, &key).await?.is_some_and(|record| record.owner == user);
        let change = if owned { Change::Destroy } else { Change::Expel { user: user.to_owned() } };
        // Every router does this with the channels that it owns.
        if core.ownership.owns(key.slot()) {
            submit(core, queues, key.clone(), None, change).await.or_else(ignore_gone)?;
            left.push(key);
        }
    }
    Ok(left)
}

/// Puts a change into the queue of its lane.
pub(crate) fn enqueue(
    core: &Core,
    queues: &Queues,
    key: ChannelRef,
    actor: Option<Actor>,
    change: Change,
) -> Result<oneshot::Receiver<Result<Changed>>> {
    let slot = key.slot();
    core.ownership.check(slot)?;
    let (answer, answered) = oneshot::channel();
    let work = Work::Change(Box::new(ChangeJob { key, slot, actor, change, answer }));
    match queues.of(core.lane_number(slot)).try_send(work) {
        Ok(()) => Ok(answered),
        Err(mpsc::error::TrySendError::Full(_)) => Err(ErrorKind::RateLimited.into()),
        Err(mpsc::error::TrySendError::Closed(_)) => Err(ErrorKind::NotOwner.into()),
    }
}

/// The group or room that a request names. `InvalidArgument` for none, `ChannelNotFound` for one that cannot be.
pub(crate) fn named(app: &[u8], channel: Option<&Queue>) -> Result<ChannelRef> {
    let app = AppUuid::from_slice(app)?;
    key_of(app, channel.ok_or_else(|| ErrorKind::InvalidArgument.with("no channel"))?)
}

fn key_of(app: AppUuid, queue: &Queue) -> Result<ChannelRef> {
    let channel: Channel = channel_of("", queue)?;
    if !is_of_many(&channel) {
        return Err(ErrorKind::InvalidArgument.with("not a group or room"));
    }
    Ok(ChannelRef::new(app, channel.key().as_bytes()))
}

async fn submit(
    core: &Core,
    queues: &Queues,
    key: ChannelRef,
    actor: Option<Actor>,
    change: Change,
) -> Result<Changed> {
    let answered = enqueue(core, queues, key, actor, change)?;
    // The lane answers when its store does; it may have several batches before this one.
    timely(core.call_timeout() * 2, async {
        answered.await.unwrap_or_else(|_| Err(ErrorKind::Unavailable.into()))
    })
    .await
}

fn check_actor(actor: Option<&Actor>) -> Result<()> {
    let Some(actor) = actor else { return Ok(()) };
    check_user(&actor.user)?;
    check_device(&actor.device)
}

fn check_users(users: &[String]) -> Result<()> {
    if users.is_empty() || users.len() > USERS_PER_CALL_MAX {
        return Err(too_many_users());
    }
    // A name that cannot exist is answered like one that does not, by whoever looks it up.
    Ok(())
}

fn too_many_users() -> Error {
    ErrorKind::InvalidArgument.with("between 1 and 100 users at once")
}

/// `UserNotFound` for the first that does not exist.
async fn expect_users(core: &Core, app: AppUuid, users: &[String]) -> Result<()> {
    for user in users {
        if !username_is_legal(user) {
            let shown: String = user.chars().take(64).collect();
            return Err(ErrorKind::UserNotFound.with(format!("username {shown} doesn't exist!")));
        }
    }
    let unknown =
        users.iter().map(|user| (app, user.as_str().into())).filter(|user| !core.directory.is_known(user));
    let asked: Vec<_> = unknown.map(|user| async move { core.directory.expect_user(&user).await }).collect();
    stream::iter(asked).buffered(QUESTIONS_AT_ONCE).try_collect().await
}

/// `PlanLimitReached` when one of them is in as many channels as one may be.
async fn expect_room_for(core: &Core, app: AppUuid, users: &[String]) -> Result<()> {
    let asked: Vec<_> = users.iter().map(|user| read::channel_count(core, app, user)).collect();
    let counts: Vec<usize> = stream::iter(asked).buffered(QUESTIONS_AT_ONCE).try_collect().await?;
    match users.iter().zip(counts).find(|(_, count)| *count >= CHANNELS_PER_USER_MAX) {
        Some((user, _)) => {
            Err(ErrorKind::PlanLimitReached.with(format!("user {user} has joined too many groups!")))
        }
        None => Ok(()),
    }
}

fn ignore_gone(error: Error) -> Result<Changed> {
    if error.kind() == ErrorKind::ChannelNotFound { Ok(Changed::default()) } else { Err(error) }
}

/// A new name whose channel is this router's. `NotOwner` while it owns too little to find one.
fn fresh_key(core: &Core, app: AppUuid, kind: i32) -> Result<ChannelRef> {
    for _ in 0..FRESH_IDS_MAX {
        let key = key_of(app, &Queue { name: fresh_id(core.sequencer.now_ms()), kind })?;
        if core.ownership.owns(key.slot()) {
            return Ok(key);
        }
    }
    Err(ErrorKind::NotOwner.into())
}

/// A decimal number of 15 digits that rises with time, like the ids that the field's services make. Whether it is taken
/// is seen when the channel is made.
fn fresh_id(now_ms: u64) -> String {
    const COUNT_BITS: u32 = 12;
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed) & ((1 << COUNT_BITS) - 1);
    ((now_ms.saturating_sub(EPOCH_MS) << COUNT_BITS) | count).to_string()
}

impl Task {
    /// The channel of many that it is about.
    pub(crate) fn channel(&self) -> Option<&ChannelRef> {
        match self {
            Task::Message(claimed) => claimed.job.many.as_ref(),
            Task::Change(job) => Some(&job.key),
        }
    }
}
