//! A publish enters: it is checked, given its keys, and put into the queue of its channel's lane. All of this happens in
//! the caller's call, so that the order of a caller's calls is the order of its messages.

use bulkhead_api::{PendingPublish, path};
use bulkhead_model::limits::{MESSAGE_BYTES_MAX, SEND_TARGETS_MAX};
use bulkhead_model::{AppUuid, Channel, ErrorKind, MessageId, Result, slot_of, username_is_legal};
use bulkhead_proto::records::{ContentKind, MessageKind, Sent};
use bulkhead_proto::router::{PublishRequest, Queue, QueueKind};
use bytes::Bytes;
use tokio::sync::mpsc;
use tracing::Span;

use crate::channels::key::{ChannelRef, is_of_many};
use crate::core::Core;
use crate::dedup::Answer;
use crate::keys::{ClientId, CursorKey, SenderKey, StandingKey};
use crate::work::{Queues, Work};

/// What a payload and its extension may have above [`MESSAGE_BYTES_MAX`]: addressing, field tags, receipts. The exact
/// rule for body and ext (features.md §7.2) is the gateway's, which knows them apart.
const ADDRESSING_BYTES_MAX: usize = 1024;

/// Most members that one message of a group or room can be for (features.md §7.2: targeted message).
const ONLY_USERS_MAX: usize = 20;

/// Longest name of a device (an MSYNC resource), in bytes.
pub(crate) const DEVICE_BYTES_MAX: usize = 256;

/// A message in a lane's queue.
pub(crate) struct Job {
    pub(crate) request: PublishRequest,
    pub(crate) app: AppUuid,
    pub(crate) to: Queue,
    pub(crate) kind: MessageKind,
    pub(crate) content: ContentKind,
    pub(crate) channel: Channel,
    pub(crate) channel_key: Bytes,
    /// The same as a group or room; `None` for a direct channel.
    pub(crate) many: Option<ChannelRef>,
    pub(crate) slot: u16,
    /// The sender's own view of the channel.
    pub(crate) sender_standing: StandingKey,
    /// The receiver's view of it; equal to the sender's when they are the same user. `None` for channels of many.
    pub(crate) receiver_standing: Option<StandingKey>,
    /// The sending device; `None` over REST.
    pub(crate) sender_cursor: Option<CursorKey>,
    /// Whose client ids the client id belongs to; `None` when there is nothing to de-duplicate.
    pub(crate) sender: Option<SenderKey>,
    /// What the store remembers under its client id.
    pub(crate) stored: Option<Sent>,
    pub(crate) answer: Answer,
    /// From the queue to the answer; disabled for a message that is not traced.
    pub(crate) span: Span,
}

impl Job {
    /// A message of people, as opposed to a receipt or a change of another message.
    pub(crate) fn is_chat(&self) -> bool {
        is_chat(self.kind)
    }

    /// It means another message, which must be known to judge or deliver it.
    pub(crate) fn needs_target(&self) -> bool {
        match self.kind {
            MessageKind::Recall | MessageKind::Edit => true,
            // In a channel of many, receipts are for the author alone.
            MessageKind::ReadAck | MessageKind::DeliverAck => self.many.is_some(),
            _ => false,
        }
    }

    /// The message of this channel that the store remembers under its client id. A client id that was used in another
    /// channel is answered with what is remembered.
    pub(crate) fn stored_id(&self) -> Option<u64> {
        let stored = self.stored.as_ref()?;
        (MessageId(stored.id).slot() == self.slot).then_some(stored.id)
    }

    /// What a resend of it would repeat.
    pub(crate) fn client_id(&self) -> ClientId {
        ClientId::new(self.request.client_id, self.kind)
    }

    /// Nobody but the receiver is to get it.
    pub(crate) fn is_hidden_from_sender(&self) -> bool {
        !self.request.sync_devices && !self.is_to_self()
    }

    pub(crate) fn is_to_self(&self) -> bool {
        self.receiver_standing.as_ref() == Some(&self.sender_standing)
    }
}

/// Whether messages of this kind are counted and listed in history.
pub(crate) fn is_chat(kind: MessageKind) -> bool {
    matches!(kind, MessageKind::Normal | MessageKind::Chat | MessageKind::Groupchat | MessageKind::Chatroom)
}

/// Puts a message into the queue of its lane.
pub(crate) fn publish(core: &Core, queues: &Queues, request: PublishRequest) -> PendingPublish {
    let (answer, pending) = PendingPublish::new();
    let job = match prepare(core, request, answer) {
        Ok(job) => job,
        Err(error) => return PendingPublish::refused(error),
    };
    if let Err(error) = core.ownership.check(job.slot) {
        return PendingPublish::refused(error);
    }
    match queues.of(core.lane_number(job.slot)).try_send(Work::Message(job)) {
        Ok(()) => pending,
        Err(mpsc::error::TrySendError::Full(_)) => {
            metrics::counter!("bulkhead_router_queue_full_total").increment(1);
            PendingPublish::refused(ErrorKind::RateLimited.into())
        }
        Err(mpsc::error::TrySendError::Closed(_)) => PendingPublish::refused(ErrorKind::NotOwner.into()),
    }
}

/// The channel that a queue is, in the eyes of `user`. `UserNotFound` or `ChannelNotFound` for a name that none has.
pub(crate) fn channel_of(user: &str, queue: &Queue) -> Result<Channel> {
    let name = &queue.name;
    let kind = queue.kind();
    if !username_is_legal(name) {
        // A name that cannot exist is answered like one that does not, but never repeated in full.
        let shown: String = name.chars().take(64).collect();
        return Err(match kind {
            QueueKind::Direct => ErrorKind::UserNotFound.with(format!("username {shown} doesn't exist!")),
            QueueKind::Group | QueueKind::Room | QueueKind::Thread => ErrorKind::ChannelNotFound.into(),
        });
    }
    Ok(match kind {
        QueueKind::Direct => Channel::direct(user, name),
        QueueKind::Group => Channel::Group(name.clone()),
        QueueKind::Room => Channel::Room(name.clone()),
        QueueKind::Thread => Channel::Thread(name.clone()),
    })
}

/// A username that may stand in a key. `InvalidArgument`.
pub(crate) fn check_user(user: &str) -> Result<()> {
    if username_is_legal(user) { Ok(()) } else { Err(ErrorKind::InvalidArgument.with("not a username")) }
}

/// A device's name that may stand in a key. `InvalidArgument`.
pub(crate) fn check_device(device: &str) -> Result<()> {
    if device.len() <= DEVICE_BYTES_MAX && !device.contains('\0') {
        Ok(())
    } else {
        Err(ErrorKind::InvalidArgument.with("a device's name is at most 256 bytes without a zero byte"))
    }
}

fn prepare(core: &Core, mut request: PublishRequest, answer: Answer) -> Result<Job> {
    let invalid = |what: &'static str| ErrorKind::InvalidArgument.with(what);
    let app = AppUuid::from_slice(&request.app)?;
    check_user(&request.from_user)?;
    check_device(&request.from_device)?;
    check_device(&request.to_device)?;
    let kind = MessageKind::try_from(request.kind).map_err(|_| invalid("no such kind of message"))?;
    let content = ContentKind::try_from(request.content).map_err(|_| invalid("no such kind of content"))?;
    if request.payload.len() + request.meta_ext.len() > MESSAGE_BYTES_MAX + ADDRESSING_BYTES_MAX {
        return Err(ErrorKind::TooLarge.into());
    }
    if request.history_hidden_for.len() > SEND_TARGETS_MAX {
        return Err(invalid("too many users that history hides the message for"));
    }
    if request.only_users.len() > ONLY_USERS_MAX {
        return Err(ErrorKind::PlanLimitReached.with("limit directed users"));
    }
    if request.online_only && matches!(kind, MessageKind::Recall | MessageKind::Edit) {
        return Err(invalid("a change of a stored message cannot be for online sessions only"));
    }
    let mut to = request.to.take().ok_or_else(|| invalid("no receiver"))?;
    let mut channel = channel_of(&request.from_user, &to)?;
    if !is_chat(kind)
        && let Channel::Group(id) = &channel
    {
        // A receipt or a change says that it is for many, but not for which kind of them.
        let room = Channel::Room(id.clone());
        if core.sessions.is_in(&ChannelRef::new(app, room.key().as_bytes()), &request.from_user) {
            channel = room;
            to.kind = QueueKind::Room.into();
        }
    }
    let key = channel.key();
    let slot = slot_of(app, &key);
    let channel_key = Bytes::from(key);
    let many = is_of_many(&channel).then(|| ChannelRef::new(app, &channel_key));
    if many.is_none() && !request.only_users.is_empty() {
        return Err(invalid("a direct message is for its receiver"));
    }
    let standing_of = |user: &str| StandingKey::new(app, user, &channel_key);
    let device = (!request.from_device.is_empty()).then_some(&request.from_device);
    Ok(Job {
        sender_standing: standing_of(&request.from_user),
        receiver_standing: matches!(channel, Channel::Direct(..)).then(|| standing_of(&to.name)),
        sender_cursor: device.map(|device| CursorKey::new(app, &request.from_user, device, &channel_key)),
        sender: device
            .filter(|_| request.client_id != 0)
            .map(|device| SenderKey::new(app, &request.from_user, device)),
        request,
        app,
        to,
        kind,
        content,
        channel,
        channel_key,
        many,
        slot,
        stored: None,
        answer,
        span: path::sequence(),
    })
}
