use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use bulkhead_model::{ErrorKind, Result};
use bulkhead_proto::router::{
    ChangeOwnerRequest, ChannelInfo, ChannelPage, ChannelRequest, ChannelsOfAppRequest,
    ChannelsOfUserRequest, CloseSessionRequest, ConfirmRequest, CreateChannelRequest, DeviceList,
    DisconnectRequest, Disconnected, GatewayEvent, HistoryRequest, JoinRequest, Joined, ListMembersRequest,
    Member, MemberPage, MemberRequest, MembersChanged, MembersRequest, MessageDelivered,
    MessageStatusRequest, OfflineCount, OpenSessionRequest, OpenedSession, Page, PresenceList,
    PresenceRequest, PublishRequest, Published, PullRequest, SessionRequest, SlotMap, SlotsRequest,
    UnreadQueues, UpdateChannelRequest, UserRequest,
};
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

/// Takes what the router has for a gateway's sessions.
pub trait DeliverySink: Send + Sync + 'static {
    /// Hands over events in order. Must not block: what does not fit a session's outbox is dropped for that session,
    /// which then pulls.
    fn deliver(&self, events: Vec<GatewayEvent>);
    /// The router is gone and with it its knowledge of this gateway's sessions: they must be opened at another.
    fn detached(&self);
}

/// A publish that has its place in the channel's order and waits to be durable.
pub struct PendingPublish(Pending);

enum Pending {
    Answer(oneshot::Receiver<Result<Published>>),
    Later(BoxFuture<'static, Result<Published>>),
}

impl PendingPublish {
    /// The pending publish and the sender that completes it.
    pub fn new() -> (oneshot::Sender<Result<Published>>, Self) {
        let (sender, receiver) = oneshot::channel();
        (sender, Self(Pending::Answer(receiver)))
    }

    /// A publish whose answer takes more than waiting. Nothing happens but while it is waited for.
    pub fn later(answer: impl Future<Output = Result<Published>> + Send + 'static) -> Self {
        Self(Pending::Later(Box::pin(answer)))
    }

    /// A publish that was refused before it was queued.
    pub fn refused(error: bulkhead_model::Error) -> Self {
        let (sender, pending) = Self::new();
        let _ = sender.send(Err(error));
        pending
    }

    /// Waits for the answer. `Unavailable` when the router goes away before it answers; the message may or may not be
    /// in the log then, and a resend under the same client id settles it.
    pub async fn wait(self) -> Result<Published> {
        self.await
    }
}

/// The same as [`PendingPublish::wait`], for callers that hold many and box none.
impl Future for PendingPublish {
    type Output = Result<Published>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Pending::Answer(answer) => Pin::new(answer)
                .poll(context)
                .map(|answer| answer.unwrap_or_else(|_| Err(ErrorKind::Unavailable.into()))),
            Pending::Later(answer) => answer.as_mut().poll(context),
        }
    }
}

/// Sequences channels, judges permission, fans out and knows who is present.
///
/// Every method may answer `Unavailable` or `Timeout`, and `InvalidArgument` for a request outside its bounds.
#[async_trait]
pub trait RouterApi: Send + Sync + 'static {
    /// Attaches a gateway's sink under a name that is unique to this run of the gateway; must come before its sessions.
    async fn attach(&self, gateway: &str, sink: Arc<dyn DeliverySink>) -> Result<()>;
    /// Forgets a gateway and all of its sessions. A name that is not attached is no error.
    async fn detach(&self, gateway: &str) -> Result<()>;

    /// Queues one message. Publishes of one caller to one channel keep the order of these calls. The answer comes when
    /// the message is durable. Refusals: `UserNotFound`, `NotMember`, `Blocked`, `Muted`, `ChannelNotFound`,
    /// `MessageNotFound`, `RecallTooLate`, `RecallDisabled`, `EditLimitReached`, `EditNotAvailable`, `NotAuthor`,
    /// `TooLarge`, `RateLimited` (the channel's queue is full).
    fn publish(&self, request: PublishRequest) -> PendingPublish;

    /// Registers a session; may force out the oldest session of the same platform.
    async fn open_session(&self, request: OpenSessionRequest) -> Result<OpenedSession>;
    async fn close_session(&self, request: CloseSessionRequest) -> Result<()>;
    /// Queues in which this device lacks messages now.
    async fn unread(&self, request: SessionRequest) -> Result<UnreadQueues>;
    /// The next page for this device; a key moves the device's cursor first.
    async fn pull(&self, request: PullRequest) -> Result<Page>;
    async fn confirm(&self, request: ConfirmRequest) -> Result<()>;
    /// A page of what the user may see of a channel, receipts and taken-back messages left out. `NotMember`.
    async fn history(&self, request: HistoryRequest) -> Result<Page>;

    async fn devices(&self, request: UserRequest) -> Result<DeviceList>;
    async fn presence(&self, request: PresenceRequest) -> Result<PresenceList>;
    async fn disconnect(&self, request: DisconnectRequest) -> Result<Disconnected>;
    async fn offline_count(&self, request: UserRequest) -> Result<OfflineCount>;
    /// Whether any device of the user has proven to have the message.
    async fn message_status(&self, request: MessageStatusRequest) -> Result<MessageDelivered>;
    async fn forget_user(&self, request: UserRequest) -> Result<()>;

    // Groups and rooms. `ChannelNotFound` when there is none; with an acting user also `ChannelForbidden` for what that
    // user may not do and `NotMember` for what is for members only. Changes are in the order of the channel's messages, and
    // durable when they are answered; members hear of them. A router without channels of many answers `Unimplemented`.

    /// Makes a group or room with its first members. `UserNotFound` for an owner or member that does not exist,
    /// `ChannelExists` for an id that is taken, `ChannelFull`, `PlanLimitReached` for a user in too many channels.
    async fn create_channel(&self, _: CreateChannelRequest) -> Result<ChannelInfo> {
        Err(ErrorKind::Unimplemented.into())
    }
    /// Ends a group or room, with its messages. Owner only.
    async fn destroy_channel(&self, _: ChannelRequest) -> Result<()> {
        Err(ErrorKind::Unimplemented.into())
    }
    /// Owner or admin; answers the channel as it is afterwards.
    async fn update_channel(&self, _: UpdateChannelRequest) -> Result<ChannelInfo> {
        Err(ErrorKind::Unimplemented.into())
    }
    /// Owner only. `ChannelForbidden` when the new one is no member, or owns it already.
    async fn change_owner(&self, _: ChangeOwnerRequest) -> Result<ChannelInfo> {
        Err(ErrorKind::Unimplemented.into())
    }
    /// A private group is `ChannelNotFound` to an acting user who is not in it.
    async fn channel(&self, _: ChannelRequest) -> Result<ChannelInfo> {
        Err(ErrorKind::Unimplemented.into())
    }
    /// A page of the app's groups or rooms.
    async fn channels_of_app(&self, _: ChannelsOfAppRequest) -> Result<ChannelPage> {
        Err(ErrorKind::Unimplemented.into())
    }
    /// A page of the groups or rooms that a user is in.
    async fn channels_of_user(&self, _: ChannelsOfUserRequest) -> Result<ChannelPage> {
        Err(ErrorKind::Unimplemented.into())
    }
    /// Adds users: owner and admins, or any member where invitations are allowed. Users who are in already are answered as
    /// not changed. `UserNotFound`, `ChannelFull` and `PlanLimitReached` change nothing.
    async fn add_members(&self, _: MembersRequest) -> Result<MembersChanged> {
        Err(ErrorKind::Unimplemented.into())
    }
    /// Removes users: owner and admins. Nobody removes the owner; who is no member is answered as not changed.
    async fn remove_members(&self, _: MembersRequest) -> Result<MembersChanged> {
        Err(ErrorKind::Unimplemented.into())
    }
    /// A user joins a room or an open public group. `ChannelFull`, `ChannelForbidden`.
    async fn join(&self, _: JoinRequest) -> Result<Joined> {
        Err(ErrorKind::Unimplemented.into())
    }
    /// A user leaves. `NotMember`; `ChannelForbidden` for the owner of a group.
    async fn leave(&self, _: MemberRequest) -> Result<()> {
        Err(ErrorKind::Unimplemented.into())
    }
    /// A page of members; of a group only for members.
    async fn members(&self, _: ListMembersRequest) -> Result<MemberPage> {
        Err(ErrorKind::Unimplemented.into())
    }
    /// How a user stands to a channel; not being in it is an answer, no error.
    async fn member(&self, _: MemberRequest) -> Result<Member> {
        Err(ErrorKind::Unimplemented.into())
    }

    /// Which router owns which slots, as this one last saw it. A publish, pull or confirmation that reaches another one
    /// than the owner is refused with `NotOwner`. `Unavailable` from a router that is cut off from the others.
    async fn slots(&self, _: SlotsRequest) -> Result<SlotMap> {
        Err(ErrorKind::Unimplemented.into())
    }
}
