use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bulkhead_api::{AuthApi, DeliverySink, PendingPublish, RouterApi};
use bulkhead_bus::{Bus, BusReceiver, Registry};
use bulkhead_model::{AppUuid, Clock, Entropy, ErrorKind, Region, Result};
use bulkhead_proto::router::{
    ChangeOwnerRequest, ChannelInfo, ChannelPage, ChannelRequest, ChannelsOfAppRequest,
    ChannelsOfUserRequest, CloseSessionRequest, ConfirmRequest, CreateChannelRequest, DeviceList,
    DisconnectRequest, Disconnected, HistoryRequest, JoinRequest, Joined, ListMembersRequest, Member,
    MemberPage, MemberRequest, MembersChanged, MembersRequest, MessageDelivered, MessageStatusRequest,
    OfflineCount, OpenSessionRequest, OpenedSession, Page, PresenceList, PresenceRequest, PublishRequest,
    PullRequest, SessionRequest, SlotMap, SlotsRequest, UnreadQueues, UpdateChannelRequest, UserRequest,
};
use bulkhead_store::{SCAN_ROWS_MAX, Store};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::RouterSettings;
use crate::channels::depart::{self, Departures};
use crate::channels::{read, submit};
use crate::core::Core;
use crate::dedup::Dedup;
use crate::directory::Directory;
use crate::lane::Lane;
use crate::regain::{self, Regain};
use crate::registry::{self, Register};
use crate::sequence::Sequencer;
use crate::sessions::Sessions;
use crate::settings::LEASE_MS_MIN;
use crate::signals::{self, Others};
use crate::slots::{self, Lease, Ownership, Steward};
use crate::topics::Topics;
use crate::work::Queues;
use crate::worker::Worker;
use crate::{confirm, forget_user, history, open_session, publish, pull, status};

/// Longest name of a gateway, in bytes.
const GATEWAY_NAME_BYTES_MAX: usize = 128;

/// Users of one question about presence.
const PRESENCE_USERS_MAX: usize = 100;

/// What the router stands on.
pub struct RouterDependencies {
    pub region: Region,
    pub store: Arc<dyn Store>,
    /// Asked whether apps and users exist.
    pub auth: Arc<dyn AuthApi>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    /// Where gateways reach this router; empty when it is called directly.
    pub address: String,
    /// No other router of this region can be running, whatever the store says: the store belongs to this process. It then
    /// owns every slot at once and needs no lease.
    pub alone: bool,
    /// How the routers of the region reach each other; `None` when there is one.
    pub bus: Option<RouterBus>,
    pub settings: RouterSettings,
}

/// A bus and what it brings.
pub struct RouterBus {
    pub bus: Arc<dyn Bus>,
    pub events: BusReceiver,
    /// Where the routers find each other's sessions.
    pub registry: Arc<dyn Registry>,
}

/// The router of a region. See the crate's documentation.
pub struct RouterService {
    core: Arc<Core>,
    queues: Queues,
    workers: Mutex<Vec<JoinHandle<()>>>,
    steward: Mutex<Option<(CancellationToken, JoinHandle<()>)>>,
    stop: CancellationToken,
}

impl RouterService {
    /// Joins the region's routers and starts the lanes. It owns every slot when it is alone; otherwise it gets its share
    /// within a lease or two. `InvalidArgument` for settings outside their bounds; what the store answers.
    pub async fn start(dependencies: RouterDependencies) -> Result<Arc<Self>> {
        let RouterDependencies { region, store, auth, clock, entropy, address, alone, bus, settings } =
            dependencies;
        check(&settings)?;
        let call_timeout = Duration::from_millis(settings.call_timeout_ms);
        let lease = Arc::new(Lease::new((!alone).then(|| Duration::from_millis(settings.lease_ms))));
        let member = slots::Member::new(store.clone(), call_timeout, lease, address);
        let lane = || Arc::new(Lane::new(settings.cached_conversations_max, settings.cached_members_max));
        let departures = Arc::new(Departures::new(Duration::from_millis(settings.room_grace_ms)));
        let topics = bus.as_ref().map_or_else(Topics::none, |parts| Topics::start(parts.bus.clone()));
        let origin = format!("{:016x}", entropy.next_u64());
        let register = bus.as_ref().map(|parts| Register::new(parts.registry.clone(), origin.clone()));
        let core = Arc::new(Core {
            store,
            directory: Directory::new(auth, region, call_timeout),
            sequencer: Sequencer::new(member, clock),
            ownership: Ownership::new(),
            look_at_slots: Notify::new(),
            others: Others::new(bus.as_ref().map(|parts| parts.bus.clone()), origin),
            regain: Regain::default(),
            sessions: Sessions::new(departures.clone(), topics, register.clone()),
            register: register.clone(),
            departures,
            dedup: Dedup::new(settings.cached_senders_max),
            lanes: (0..settings.lanes).map(|_| lane()).collect(),
            settings,
        });
        let stop = CancellationToken::new();
        let mut queues = Vec::with_capacity(settings.lanes);
        let mut workers = Vec::with_capacity(settings.lanes);
        for lane in &core.lanes {
            let (queue, queued) = mpsc::channel(settings.queue_messages_max);
            queues.push(queue);
            workers.push(tokio::spawn(Worker::new(core.clone(), lane.clone(), queued, stop.clone()).run()));
        }
        let queues = Queues::new(queues);
        tokio::spawn(depart::run(core.clone(), queues.clone(), stop.clone()));
        if let Some(RouterBus { bus, events, .. }) = bus {
            tokio::spawn(regain::run(core.clone(), stop.clone()));
            tokio::spawn(signals::listen(core.clone(), queues.clone(), bus, events, stop.clone()));
        }
        let steward = Steward::join(core.clone(), entropy, alone).await?;
        if let Some(register) = register {
            tokio::spawn(registry::run(core.clone(), register, stop.clone()));
        }
        let stop_steward = CancellationToken::new();
        let steward = tokio::spawn(steward.run(stop_steward.clone()));
        let steward = Mutex::new(Some((stop_steward, steward)));
        Ok(Arc::new(Self { core, queues, workers: Mutex::new(workers), steward, stop }))
    }

    /// Finishes what is queued, writes what is known about cursors, gives the slots to the routers that stay and leaves
    /// the ids to a successor without a gap. Gateways that are still attached are told.
    pub async fn drain(&self) {
        let Some((stop_steward, steward)) = self.steward.lock().take() else { return };
        stop_steward.cancel();
        if steward.await.is_err() {
            tracing::error!("the steward of the slots has panicked");
        }
        let alone = self.core.member().lease.length().is_none();
        if !alone {
            // The others go on with the slots while what is left here comes to its end.
            self.leave().await;
        }
        self.stop.cancel();
        let workers = std::mem::take(&mut *self.workers.lock());
        for worker in workers {
            if worker.await.is_err() {
                tracing::error!("a lane of the router has panicked");
            }
        }
        if alone {
            self.leave().await;
        }
        self.core.sessions.detach_all();
    }

    async fn leave(&self) {
        if let Err(error) = Steward::leave(&self.core).await {
            tracing::warn!(%error, "the slots could not be given back");
        }
    }
}

impl Drop for RouterService {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some((stop_steward, _)) = self.steward.get_mut() {
            stop_steward.cancel();
        }
    }
}

#[async_trait]
impl RouterApi for RouterService {
    async fn attach(&self, gateway: &str, sink: Arc<dyn DeliverySink>) -> Result<()> {
        if gateway.is_empty() || gateway.len() > GATEWAY_NAME_BYTES_MAX {
            return Err(ErrorKind::InvalidArgument.with("a gateway's name is 1-128 bytes"));
        }
        if self.stop.is_cancelled() {
            return Err(ErrorKind::Unavailable.into());
        }
        self.core.sessions.attach(gateway, sink);
        Ok(())
    }

    async fn detach(&self, gateway: &str) -> Result<()> {
        self.core.sessions.detach(gateway);
        Ok(())
    }

    fn publish(&self, request: PublishRequest) -> PendingPublish {
        publish::publish(&self.core, &self.queues, request)
    }

    async fn open_session(&self, request: OpenSessionRequest) -> Result<OpenedSession> {
        open_session::open_session(&self.core, request).await
    }

    async fn close_session(&self, request: CloseSessionRequest) -> Result<()> {
        confirm::close_session(&self.core, request)
    }

    async fn unread(&self, request: SessionRequest) -> Result<UnreadQueues> {
        open_session::unread(&self.core, request).await
    }

    async fn pull(&self, request: PullRequest) -> Result<Page> {
        pull::pull(&self.core, request).await
    }

    async fn confirm(&self, request: ConfirmRequest) -> Result<()> {
        confirm::confirm(&self.core, request).await
    }

    async fn history(&self, request: HistoryRequest) -> Result<Page> {
        history::history(&self.core, request).await
    }

    async fn devices(&self, request: UserRequest) -> Result<DeviceList> {
        let app = AppUuid::from_slice(&request.app)?;
        Ok(DeviceList { devices: self.core.sessions.devices(app, &request.user) })
    }

    async fn presence(&self, request: PresenceRequest) -> Result<PresenceList> {
        let app = AppUuid::from_slice(&request.app)?;
        if request.users.len() > PRESENCE_USERS_MAX {
            return Err(ErrorKind::InvalidArgument.with("at most 100 users at once"));
        }
        let online = request.users.iter().map(|user| self.core.sessions.is_online(app, user)).collect();
        Ok(PresenceList { online })
    }

    async fn disconnect(&self, request: DisconnectRequest) -> Result<Disconnected> {
        let app = AppUuid::from_slice(&request.app)?;
        let ended = self.core.sessions.disconnect(app, &request.user, &request.device, request.reason());
        Ok(Disconnected { sessions: u32::try_from(ended).unwrap_or(u32::MAX) })
    }

    async fn offline_count(&self, request: UserRequest) -> Result<OfflineCount> {
        status::offline_count(&self.core, request).await
    }

    async fn message_status(&self, request: MessageStatusRequest) -> Result<MessageDelivered> {
        status::message_status(&self.core, request).await
    }

    async fn forget_user(&self, request: UserRequest) -> Result<()> {
        forget_user::forget_user(&self.core, &self.queues, request).await
    }

    async fn create_channel(&self, request: CreateChannelRequest) -> Result<ChannelInfo> {
        submit::create(&self.core, &self.queues, request).await
    }

    async fn destroy_channel(&self, request: ChannelRequest) -> Result<()> {
        submit::destroy(&self.core, &self.queues, request).await
    }

    async fn update_channel(&self, request: UpdateChannelRequest) -> Result<ChannelInfo> {
        submit::update(&self.core, &self.queues, request).await
    }

    async fn change_owner(&self, request: ChangeOwnerRequest) -> Result<ChannelInfo> {
        submit::change_owner(&self.core, &self.queues, request).await
    }

    async fn channel(&self, request: ChannelRequest) -> Result<ChannelInfo> {
        read::channel(&self.core, request).await
    }

    async fn channels_of_app(&self, request: ChannelsOfAppRequest) -> Result<ChannelPage> {
        read::channels_of_app(&self.core, request).await
    }

    async fn channels_of_user(&self, request: ChannelsOfUserRequest) -> Result<ChannelPage> {
        read::channels_of_user(&self.core, request).await
    }

    async fn add_members(&self, request: MembersRequest) -> Result<MembersChanged> {
        submit::add_members(&self.core, &self.queues, request).await
    }

    async fn remove_members(&self, request: MembersRequest) -> Result<MembersChanged> {
        submit::remove_members(&self.core, &self.queues, request).await
    }

    async fn join(&self, request: JoinRequest) -> Result<Joined> {
        submit::join(&self.core, &self.queues, request).await
    }

    async fn leave(&self, request: MemberRequest) -> Result<()> {
        submit::leave(&self.core, &self.queues, request).await
    }

    async fn members(&self, request: ListMembersRequest) -> Result<MemberPage> {
        read::members(&self.core, request).await
    }

    async fn member(&self, request: MemberRequest) -> Result<Member> {
        read::member(&self.core, request).await
    }

    async fn slots(&self, _: SlotsRequest) -> Result<SlotMap> {
        // A router that is cut off knows what was, not what is.
        if self.core.member().lease.remaining().is_none() {
            return Err(ErrorKind::Unavailable.into());
        }
        Ok(SlotMap::clone(&self.core.ownership.map()))
    }
}

fn check(settings: &RouterSettings) -> Result<()> {
    let RouterSettings {
        lanes,
        queue_messages_max,
        batch_messages_max,
        cached_conversations_max,
        cached_senders_max,
        cached_members_max,
        room_grace_ms,
        flush_interval_ms,
        call_timeout_ms,
        lease_ms,
    } = *settings;
    let counts = [
        lanes,
        queue_messages_max,
        batch_messages_max,
        cached_conversations_max,
        cached_senders_max,
        cached_members_max,
    ];
    if counts.contains(&0)
        || flush_interval_ms == 0
        || room_grace_ms == 0
        || call_timeout_ms == 0
        || lease_ms < LEASE_MS_MIN
        || batch_messages_max > SCAN_ROWS_MAX
    {
        return Err(ErrorKind::InvalidArgument.with("a setting of the router is outside its bounds"));
    }
    Ok(())
}
