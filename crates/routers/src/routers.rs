use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bulkhead_api::{DeliverySink, PendingPublish, RouterApi};
use bulkhead_model::{ErrorKind, Result};
use bulkhead_proto::router::{
    ChangeOwnerRequest, ChannelInfo, ChannelPage, ChannelRequest, ChannelsOfAppRequest,
    ChannelsOfUserRequest, CloseSessionRequest, ConfirmRequest, CreateChannelRequest, DeviceList,
    DisconnectRequest, Disconnected, HistoryRequest, JoinRequest, Joined, ListMembersRequest, Member,
    MemberPage, MemberRequest, MembersChanged, MembersRequest, MessageDelivered, MessageStatusRequest,
    OfflineCount, OpenSessionRequest, OpenedSession, Page, PresenceList, PresenceRequest, PublishRequest,
    PullRequest, QueueKind, QueuePosition, SessionRequest, SlotMap, SlotsRequest, UnreadQueues,
    UpdateChannelRequest, UserRequest,
};
use futures_util::future::{join_all, try_join_all};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::detour::{Detour, Detours, Search, can_repeat, is_in_doubt, is_moved};
use crate::home::Home;
use crate::place::{Placed, slot_of_queue};
use crate::view::{Peer, View};

/// How often the routers are asked who owns what.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// How long one router may take to say who owns what.
const LOOK_LIMIT: Duration = Duration::from_secs(2);

/// Rooms that one join may have its user leave.
const ROOMS_LEFT_MAX: u32 = 100;

/// What a room that could not be left may answer when it need not be.
const LEFT_ALL_THE_SAME: [ErrorKind; 3] =
    [ErrorKind::ChannelNotFound, ErrorKind::NotMember, ErrorKind::ChannelForbidden];

/// Makes a router of its address.
pub type Dial = Box<dyn Fn(&str) -> Result<Arc<dyn RouterApi>> + Send + Sync>;

/// The routers of a region. See the crate's documentation.
pub struct Routers {
    inner: Arc<Inner>,
    _looking: DropGuard,
}

pub(crate) struct Inner {
    dial: Dial,
    seeds: Vec<Arc<dyn RouterApi>>,
    view: RwLock<Arc<View>>,
    /// Counts the answers of routers about who owns what.
    heard: watch::Sender<u64>,
    look: Notify,
    home: Mutex<Option<Home>>,
    move_after: Duration,
    pub(crate) detours: Detours,
}

impl Routers {
    /// The routers that those at `seeds` know of. A gateway whose place is with another router than the one it is attached to,
    /// because routers have come or gone, is moved there when that has been so for `move_after`. Spawns the task that asks
    /// them, so it must be called within a tokio runtime. Errors are those of `dial`.
    pub fn new(seeds: &[String], dial: Dial, move_after: Duration) -> Result<Self> {
        let inner = Arc::new(Inner {
            seeds: seeds.iter().map(|url| dial(url)).collect::<Result<_>>()?,
            dial,
            view: RwLock::default(),
            heard: watch::Sender::new(0),
            look: Notify::new(),
            home: Mutex::default(),
            move_after,
            detours: Detours::new(),
        });
        let looking = CancellationToken::new();
        tokio::spawn(keep_looking(Arc::downgrade(&inner), looking.clone()));
        Ok(Self { inner, _looking: looking.drop_guard() })
    }

    /// The router that knows this gateway's sessions.
    fn home(&self) -> Result<Arc<dyn RouterApi>> {
        let home = self.inner.home.lock();
        home.as_ref().map(|home| home.api.clone()).ok_or_else(|| ErrorKind::Unavailable.into())
    }

    /// Asks one router after the other until one answers.
    async fn any<T, F>(&self, ask: impl Fn(Arc<dyn RouterApi>) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut last = ErrorKind::Unavailable.into();
        for router in self.inner.routers() {
            match ask(router).await {
                Err(error) if is_in_doubt(&error) => last = error,
                outcome => return outcome,
            }
        }
        Err(last)
    }

    /// A user stays in the room that they joined last, wherever the others are.
    async fn leave_other_rooms(&self, joined: &JoinRequest) -> Result<()> {
        let rooms = ChannelsOfUserRequest {
            app: joined.app.clone(),
            user: joined.user.clone(),
            kind: QueueKind::Room.into(),
            limit: ROOMS_LEFT_MAX,
            ..ChannelsOfUserRequest::default()
        };
        for room in self.channels_of_user(rooms).await?.channels {
            if room.channel == joined.channel {
                continue;
            }
            let leaver = MemberRequest {
                app: joined.app.clone(),
                channel: room.channel,
                user: joined.user.clone(),
                device: joined.device.clone(),
            };
            match self.leave(leaver).await {
                // It is the user's own, or gone meanwhile: that does not stand in the way.
                Err(error) if LEFT_ALL_THE_SAME.contains(&error.kind()) => {}
                outcome => outcome?,
            }
        }
        Ok(())
    }

    /// Asks the owner of a slot, or whoever owns it next; again after an answer that leaves open what was done only if
    /// it may be done twice.
    async fn owner<T, F>(&self, slot: u16, twice: bool, ask: impl Fn(Arc<dyn RouterApi>) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut search = Search::new(&self.inner);
        loop {
            let owner = search.owner(slot).await?;
            match ask(owner.api).await {
                Err(error) if is_moved(&error) || (twice && is_in_doubt(&error)) => {
                    search.again(error).await?
                }
                outcome => return outcome,
            }
        }
    }
}

/// The calls that only need to be sent to the right router. A `read` is repeated when its router goes; a `change` only when
/// it has not been done for certain.
macro_rules! routed_calls {
    (
        reads_of_owner { $($owner_read:ident($owner_request:ty) -> $owner_answer:ty;)* }
        changes_of_owner { $($change:ident($change_request:ty) -> $change_answer:ty;)* }
        reads_of_any { $($any:ident($any_request:ty) -> $any_answer:ty;)* }
        others { $($others:tt)* }
    ) => {
        #[async_trait]
        impl RouterApi for Routers {
            $(async fn $owner_read(&self, request: $owner_request) -> Result<$owner_answer> {
                self.owner(request.slot(), true, |router| {
                    let request = request.clone();
                    async move { router.$owner_read(request).await }
                })
                .await
            })*

            $(async fn $change(&self, request: $change_request) -> Result<$change_answer> {
                self.owner(request.slot(), false, |router| {
                    let request = request.clone();
                    async move { router.$change(request).await }
                })
                .await
            })*

            $(async fn $any(&self, request: $any_request) -> Result<$any_answer> {
                self.any(|router| {
                    let request = request.clone();
                    async move { router.$any(request).await }
                })
                .await
            })*

            $($others)*
        }
    };
}

routed_calls! {
    reads_of_owner {
        pull(PullRequest) -> Page;
    }
    changes_of_owner {
        destroy_channel(ChannelRequest) -> ();
        update_channel(UpdateChannelRequest) -> ChannelInfo;
        change_owner(ChangeOwnerRequest) -> ChannelInfo;
        add_members(MembersRequest) -> MembersChanged;
        remove_members(MembersRequest) -> MembersChanged;
        leave(MemberRequest) -> ();
    }
    reads_of_any {
        unread(SessionRequest) -> UnreadQueues;
        history(HistoryRequest) -> Page;
        offline_count(UserRequest) -> OfflineCount;
        message_status(MessageStatusRequest) -> MessageDelivered;
        channel(ChannelRequest) -> ChannelInfo;
        channels_of_app(ChannelsOfAppRequest) -> ChannelPage;
        channels_of_user(ChannelsOfUserRequest) -> ChannelPage;
        members(ListMembersRequest) -> MemberPage;
        member(MemberRequest) -> Member;
        slots(SlotsRequest) -> SlotMap;
    }
    others {
        async fn attach(&self, gateway: &str, sink: Arc<dyn DeliverySink>) -> Result<()> {
            self.inner.look_again(LOOK_LIMIT).await;
            let mut last = ErrorKind::Unavailable.into();
            for peer in self.inner.view().by_preference(gateway) {
                match peer.api.attach(gateway, sink.clone()).await {
                    Ok(()) => {
                        tracing::info!("this gateway's sessions are with the router at {}", peer.url);
                        *self.inner.home.lock() = Some(Home::new(peer, gateway, sink));
                        return Ok(());
                    }
                    Err(error) => last = error,
                }
            }
            Err(last)
        }

        async fn detach(&self, gateway: &str) -> Result<()> {
            let home = self.inner.home.lock().take();
            match home {
                Some(home) => home.api.detach(gateway).await,
                None => Ok(()),
            }
        }

        fn publish(&self, request: PublishRequest) -> PendingPublish {
            let inner = &self.inner;
            let slot = slot_of_queue(&request.app, &request.from_user, request.to.as_ref());
            let view = inner.view();
            let owner = view.owner(slot).filter(|_| !inner.detours.are_under_way(slot));
            let Some(owner) = owner else {
                let detour = Detour::begin(inner.clone(), slot);
                return PendingPublish::later(detour.publish(request));
            };
            let first = owner.api.publish(request.clone());
            let inner = inner.clone();
            PendingPublish::later(async move {
                match first.await {
                    Err(error) if is_moved(&error) || (can_repeat(&request) && is_in_doubt(&error)) => {
                        let detour = Detour::begin(inner.clone(), slot);
                        inner.look.notify_one();
                        detour.publish(request).await
                    }
                    outcome => outcome,
                }
            })
        }

        async fn open_session(&self, request: OpenSessionRequest) -> Result<OpenedSession> {
            self.home()?.open_session(request).await
        }

        async fn close_session(&self, request: CloseSessionRequest) -> Result<()> {
            self.home()?.close_session(request).await
        }

        async fn confirm(&self, request: ConfirmRequest) -> Result<()> {
            let session = request.session.unwrap_or_default();
            let mut by_slot: HashMap<u16, Vec<QueuePosition>> = HashMap::new();
            for position in request.positions {
                let slot = slot_of_queue(&session.app, &session.user, position.queue.as_ref());
                by_slot.entry(slot).or_default().push(position);
            }
            let parts = by_slot.into_iter().map(|(slot, positions)| {
                let part = ConfirmRequest { session: Some(session.clone()), positions };
                self.owner(slot, true, move |router| {
                    let part = part.clone();
                    async move { router.confirm(part).await }
                })
            });
            try_join_all(parts).await.map(drop)
        }

        async fn devices(&self, request: UserRequest) -> Result<DeviceList> {
            let lists = self.inner.routers().into_iter().map(|router| {
                let request = request.clone();
                async move { router.devices(request).await }
            });
            let lists = try_join_all(lists).await?;
            Ok(DeviceList { devices: lists.into_iter().flat_map(|list| list.devices).collect() })
        }

        async fn presence(&self, request: PresenceRequest) -> Result<PresenceList> {
            let lists = self.inner.routers().into_iter().map(|router| {
                let request = request.clone();
                async move { router.presence(request).await }
            });
            let mut online = vec![false; request.users.len()];
            for list in try_join_all(lists).await? {
                online.iter_mut().zip(list.online).for_each(|(online, here)| *online |= here);
            }
            Ok(PresenceList { online })
        }

        async fn disconnect(&self, request: DisconnectRequest) -> Result<Disconnected> {
            let ended = self.inner.routers().into_iter().map(|router| {
                let request = request.clone();
                async move { router.disconnect(request).await }
            });
            let ended = try_join_all(ended).await?;
            Ok(Disconnected { sessions: ended.iter().map(|one| one.sessions).sum() })
        }

        async fn forget_user(&self, request: UserRequest) -> Result<()> {
            let forgotten = self.inner.routers().into_iter().map(|router| {
                let request = request.clone();
                async move { router.forget_user(request).await }
            });
            // All of them, even if one fails: none may write back what another has deleted.
            join_all(forgotten).await.into_iter().collect()
        }

        async fn create_channel(&self, request: CreateChannelRequest) -> Result<ChannelInfo> {
            // Without an id, whoever makes it makes the id too, of a slot of its own.
            let slot = (!request.id.is_empty()).then(|| request.slot());
            let mut search = Search::new(&self.inner);
            loop {
                let router = match slot {
                    Some(slot) => search.owner(slot).await?.api,
                    None => self.home()?,
                };
                match router.create_channel(request.clone()).await {
                    Err(error) if is_moved(&error) => search.again(error).await?,
                    outcome => return outcome,
                }
            }
        }

        async fn join(&self, mut request: JoinRequest) -> Result<Joined> {
            let leaves_others = std::mem::take(&mut request.leave_other_rooms);
            let joined = self.owner(request.slot(), false, |router| {
                let request = request.clone();
                async move { router.join(request).await }
            });
            let joined = joined.await?;
            if leaves_others {
                self.leave_other_rooms(&request).await?;
            }
            Ok(joined)
        }
    }
}

impl Inner {
    pub(crate) fn view(&self) -> Arc<View> {
        self.view.read().clone()
    }

    /// The routers that are known, or else those that were configured.
    fn routers(&self) -> Vec<Arc<dyn RouterApi>> {
        let view = self.view();
        if view.peers.is_empty() {
            return self.seeds.clone();
        }
        view.peers.iter().map(|peer| peer.api.clone()).collect()
    }

    /// Has the routers asked now, and returns when one has answered or after `limit`.
    pub(crate) async fn look_again(&self, limit: Duration) {
        let mut heard = self.heard.subscribe();
        self.look.notify_one();
        let _ = tokio::time::timeout(limit, heard.changed()).await;
    }

    async fn look(&self) {
        let view = self.view();
        let known = view.peers.iter().map(|peer| &peer.api);
        for router in known.chain(&self.seeds) {
            let asked = tokio::time::timeout(LOOK_LIMIT, router.slots(SlotsRequest {}));
            if let Ok(Ok(map)) = asked.await
                && !map.routers.is_empty()
            {
                self.take_in(&view, map);
                self.heard.send_modify(|heard| *heard += 1);
                return;
            }
        }
        tracing::warn!("no router says who owns the slots");
    }

    /// Has the gateway attach where its place is now, so that it does not stay for ever with the router that was left when
    /// others restarted, and a router that joins gets its share of sessions.
    async fn move_home(&self) {
        let left = {
            let mut home = self.home.lock();
            let is_time =
                home.as_mut().is_some_and(|home| home.is_elsewhere_for(&self.view(), self.move_after));
            if is_time { home.take() } else { None }
        };
        let Some(left) = left else { return };
        tracing::info!("this gateway's sessions move to another router");
        // First, so that logins wait for the new one.
        left.sink.detached();
        let _ = tokio::time::timeout(LOOK_LIMIT, left.api.detach(&left.gateway)).await;
    }

    fn take_in(&self, before: &View, map: SlotMap) {
        let peers = map.routers.into_iter().map(|address| {
            let known = before.peers.iter().find(|peer| peer.id == address.id && peer.url == address.url);
            if let Some(known) = known {
                return Ok(known.clone());
            }
            let api = (self.dial)(&address.url)?;
            Ok(Peer { id: address.id, url: address.url, api })
        });
        match peers.collect::<Result<Vec<_>>>() {
            Ok(peers) => *self.view.write() = Arc::new(View { peers, owners: map.owners }),
            Err(error) => tracing::error!(%error, "a router's address cannot be used"),
        }
    }
}

async fn keep_looking(inner: Weak<Inner>, stop: CancellationToken) {
    loop {
        {
            let Some(inner) = inner.upgrade() else { return };
            inner.look().await;
            inner.move_home().await;
        }
        let Some(inner) = inner.upgrade() else { return };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
            () = inner.look.notified() => {}
        }
    }
}
