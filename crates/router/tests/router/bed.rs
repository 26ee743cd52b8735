//! A router with everything below it, and the words that the tests use.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bulkhead_api::{AuthApi, DeliverySink, PendingPublish, RouterApi};
use bulkhead_auth::{AuthService, AuthSettings};
use bulkhead_bus::{Registry, Topic};
use bulkhead_model::{AppUuid, ErrorKind, ManualClock, Region, Result, SeededEntropy};
use bulkhead_proto::auth::{CreateAppRequest, NewUser, RegisterUsersRequest};
use bulkhead_proto::records::{ContentKind, MessageKind};
use bulkhead_proto::router::{
    ChannelDelivery, CloseSessionRequest, ConfirmRequest, Delivery, GatewayEvent, HistoryRequest, Kick,
    OpenSessionRequest, OpenedSession, Page, PublishRequest, Published, PullRequest, Queue, QueuePosition,
    SessionRequest, UserRequest, gateway_event::Event,
};
use bulkhead_router::{RouterDependencies, RouterService, RouterSettings};
use bulkhead_store_embedded::EmbeddedStore;
use bytes::Bytes;
use tokio::sync::{Mutex, mpsc};

use crate::partitions::Partitions;
use crate::switches::{Between, SwitchedStore, Writes};

pub(crate) const START_MS: u64 = 1_800_000_000_000;
pub(crate) const USERS: [&str; 4] = ["alice", "bob", "carol", "dave"];

/// Every router has random numbers of its own.
static SEED: AtomicU64 = AtomicU64::new(100);

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Keeps what the router delivers.
pub(crate) struct Sink(pub(crate) mpsc::UnboundedSender<GatewayEvent>);

impl DeliverySink for Sink {
    fn deliver(&self, events: Vec<GatewayEvent>) {
        events.into_iter().for_each(|event| drop(self.0.send(event)));
    }

    fn detached(&self) {}
}

/// What a gateway gets.
pub(crate) struct Events(Mutex<mpsc::UnboundedReceiver<GatewayEvent>>);

impl Events {
    pub(crate) async fn next(&self) -> Event {
        let next = tokio::time::timeout(PATIENCE, async { self.0.lock().await.recv().await });
        next.await.expect("an event within its time").expect("the router is there").event.unwrap()
    }

    /// What has come already.
    pub(crate) async fn try_next(&self) -> Option<Event> {
        self.0.lock().await.try_recv().ok()?.event
    }

    pub(crate) async fn delivery(&self) -> Delivery {
        match self.next().await {
            Event::Delivery(delivery) => delivery,
            other => panic!("{other:?} instead of a delivery"),
        }
    }

    pub(crate) async fn channel_delivery(&self) -> ChannelDelivery {
        match self.next().await {
            Event::ChannelDelivery(delivery) => delivery,
            other => panic!("{other:?} instead of a message of a group or room"),
        }
    }

    /// Skips everything up to the next message of a group or room that is in its log.
    pub(crate) async fn channel_message(&self) -> ChannelDelivery {
        loop {
            if let Event::ChannelDelivery(delivery) = self.next().await
                && !delivery.transient
            {
                return delivery;
            }
        }
    }

    pub(crate) async fn kick(&self) -> Kick {
        match self.next().await {
            Event::Kick(kick) => kick,
            other => panic!("{other:?} instead of a kick"),
        }
    }
}

/// A region with one app, the users of [`USERS`] and one gateway, "gateway".
pub(crate) struct Bed {
    folder: tempfile::TempDir,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) database: Arc<Partitions>,
    /// `None` in a region with one router.
    between: Option<Between>,
    pub(crate) store: Arc<SwitchedStore>,
    pub(crate) auth: Arc<dyn AuthApi>,
    pub(crate) router: Arc<RouterService>,
    pub(crate) settings: RouterSettings,
    pub(crate) app: Bytes,
    pub(crate) events: Events,
}

impl Bed {
    pub(crate) async fn start() -> Self {
        Self::start_with(RouterSettings::default()).await
    }

    pub(crate) async fn start_with(settings: RouterSettings) -> Self {
        Self::start_as(settings, true).await
    }

    /// A region whose router has others beside it, or will have.
    pub(crate) async fn start_beside(settings: RouterSettings) -> Self {
        Self::start_as(settings, false).await
    }

    async fn start_as(settings: RouterSettings, alone: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(START_MS));
        let database = Partitions::on(open(folder.path(), &clock));
        let entropy = Arc::new(SeededEntropy::new(1));
        let auth: Arc<dyn AuthApi> = AuthService::new(
            database.engine().clone(),
            Region::Singapore,
            clock.clone(),
            entropy,
            AuthSettings::default(),
        );
        let app = make_app(&auth, "chat").await;
        let store = SwitchedStore::on(&database);
        let between = (!alone).then(|| Between::new(&clock));
        let router = start_router(&store, &auth, &clock, settings, between.as_ref()).await;
        let events = attach(&router, "gateway").await;
        Self { folder, clock, database, between, store, auth, router, settings, app, events }
    }

    /// What a router that takes this one's place, or fails to, stands on.
    pub(crate) fn dependencies(&self, settings: RouterSettings) -> RouterDependencies {
        dependencies(&self.store, &self.auth, &self.clock, settings, None)
    }

    /// One more router on the same data, behind a switch of its own.
    pub(crate) async fn another_router(&self) -> (Arc<RouterService>, Arc<SwitchedStore>) {
        let store = SwitchedStore::on(&self.database);
        let router =
            start_router(&store, &self.auth, &self.clock, self.settings, self.between.as_ref()).await;
        (router, store)
    }

    /// Ends the router as a crash does: nothing that it only had in memory reaches the store. Starts another one.
    pub(crate) async fn crash(&mut self) {
        self.store.set(Writes::Refuse);
        self.store = SwitchedStore::on(&self.database);
        self.router = start_router(&self.store, &self.auth, &self.clock, self.settings, None).await;
        self.events = attach(&self.router, "gateway").await;
    }

    /// Ends the router in order, opens the folder again and starts another one.
    pub(crate) async fn restart(&mut self) {
        self.router.drain().await;
        self.router = start_router(&self.store, &self.auth, &self.clock, self.settings, None).await;
        self.events = attach(&self.router, "gateway").await;
    }

    /// How the routers of a region with several reach each other.
    pub(crate) fn between(&self) -> &Between {
        self.between.as_ref().unwrap()
    }

    /// How many sessions of a user the registry has.
    pub(crate) async fn registered(&self, user: &str) -> usize {
        let topic = Topic::user(AppUuid::from_slice(&self.app).unwrap(), user);
        self.between().registry.held().list(vec![topic]).await.unwrap()[0].len()
    }

    /// Waits until the registry has so many sessions of a user.
    pub(crate) async fn until_registered(&self, user: &str, sessions: usize) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while self.registered(user).await != sessions {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        if waited.await.is_err() {
            panic!("{} sessions of {user} instead of {sessions}", self.registered(user).await);
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A text from one user to another.
    pub(crate) fn text(&self, from: &str, to: &str, text: &str) -> PublishRequest {
        PublishRequest {
            app: self.app.clone(),
            from_user: from.into(),
            to: Some(queue(to)),
            kind: MessageKind::Chat.into(),
            content: ContentKind::Text.into(),
            payload: text_body(text),
            sync_devices: true,
            ..PublishRequest::default()
        }
    }

    pub(crate) fn publish(&self, request: PublishRequest) -> PendingPublish {
        self.router.publish(request)
    }

    pub(crate) async fn send(&self, request: PublishRequest) -> Published {
        self.try_send(request).await.unwrap()
    }

    pub(crate) async fn try_send(&self, request: PublishRequest) -> Result<Published> {
        tokio::time::timeout(PATIENCE, self.publish(request).wait()).await.expect("an answer within its time")
    }

    /// The refusal of a message.
    pub(crate) async fn refusal(&self, request: PublishRequest) -> ErrorKind {
        self.try_send(request).await.unwrap_err().kind()
    }

    pub(crate) fn session(&self, user: &str, device: &str) -> SessionRequest {
        SessionRequest {
            app: self.app.clone(),
            user: user.into(),
            device: device.into(),
            session: number(device),
        }
    }

    pub(crate) fn login(&self, user: &str, device: &str) -> OpenSessionRequest {
        OpenSessionRequest {
            gateway: "gateway".into(),
            session: number(device),
            app: self.app.clone(),
            user: user.into(),
            device: device.into(),
            platform: device.split('_').next().unwrap_or_default().into(),
            device_name: format!("{device} name"),
            device_uuid: format!("{device} uuid"),
            login_ext: format!("from {device}"),
        }
    }

    /// Opens a session and answers what it is behind in: queue and count.
    pub(crate) async fn open(&self, user: &str, device: &str) -> Vec<(String, u64)> {
        counts(self.router.open_session(self.login(user, device)).await.unwrap())
    }

    pub(crate) async fn close(&self, user: &str, device: &str) {
        let session = Some(self.session(user, device));
        self.router.close_session(CloseSessionRequest { session, lost: false }).await.unwrap();
    }

    pub(crate) async fn pull(&self, user: &str, device: &str, from: &str, key: u64) -> Page {
        let session = Some(self.session(user, device));
        self.router.pull(PullRequest { session, queue: Some(queue(from)), key }).await.unwrap()
    }

    /// Pulls like a client until nothing is left; answers the ids.
    pub(crate) async fn pull_all(&self, user: &str, device: &str, from: &str) -> Vec<u64> {
        let (mut ids, mut key) = (Vec::new(), 0);
        loop {
            let page = self.pull(user, device, from, key).await;
            ids.extend(page.messages.iter().map(|message| message.id));
            if page.is_last {
                assert!(page.messages.is_empty(), "a page with messages is never the last");
                return ids;
            }
            assert!(page.next_key > key, "a page goes on");
            key = page.next_key;
        }
    }

    pub(crate) async fn confirm(&self, user: &str, device: &str, from: &str, id: u64) {
        let positions = vec![QueuePosition { queue: Some(queue(from)), id }];
        let request = ConfirmRequest { session: Some(self.session(user, device)), positions };
        self.router.confirm(request).await.unwrap();
    }

    pub(crate) async fn offline_count(&self, user: &str) -> u64 {
        self.router.offline_count(self.user(user)).await.unwrap().messages
    }

    pub(crate) fn user(&self, user: &str) -> UserRequest {
        UserRequest { app: self.app.clone(), user: user.into() }
    }

    pub(crate) fn history(&self, user: &str, with: &str, limit: u32) -> HistoryRequest {
        HistoryRequest {
            app: self.app.clone(),
            user: user.into(),
            queue: Some(queue(with)),
            limit,
            ..HistoryRequest::default()
        }
    }

    /// A whole history in the pages that a client would read.
    pub(crate) async fn history_all(&self, mut request: HistoryRequest) -> Vec<u64> {
        let mut ids = Vec::new();
        loop {
            let page = self.router.history(request.clone()).await.unwrap();
            ids.extend(page.messages.iter().map(|message| message.id));
            if page.is_last {
                return ids;
            }
            request.start_id = page.next_key;
        }
    }
}

pub(crate) fn queue(name: &str) -> Queue {
    Queue { name: name.into(), ..Queue::default() }
}

pub(crate) fn counts(opened: OpenedSession) -> Vec<(String, u64)> {
    opened.behind.into_iter().map(|unread| (unread.queue.unwrap().name, unread.count)).collect()
}

/// An encoded MessageBody with one text.
pub(crate) fn text_body(text: &str) -> Bytes {
    let length = u8::try_from(text.len()).unwrap();
    assert!(length < 120);
    [&[0x22, length + 2, 0x12, length], text.as_bytes()].concat().into()
}

pub(crate) async fn make_app(auth: &Arc<dyn AuthApi>, name: &str) -> Bytes {
    let request =
        CreateAppRequest { org_name: "demo".into(), app_name: name.into(), ..CreateAppRequest::default() };
    let app = auth.create_app(request).await.unwrap().app.unwrap().uuid;
    let user = |name: &str| NewUser { username: name.into(), ..NewUser::default() };
    let users = USERS.into_iter().map(user).collect();
    auth.register_users(RegisterUsersRequest { app: app.clone(), users }).await.unwrap();
    app
}

pub(crate) async fn attach(router: &Arc<RouterService>, name: &str) -> Events {
    let (sender, receiver) = mpsc::unbounded_channel();
    router.attach(name, Arc::new(Sink(sender))).await.unwrap();
    Events(Mutex::new(receiver))
}

/// The session number that a device has in the tests.
pub(crate) fn number(device: &str) -> u64 {
    device.bytes().fold(7, |number, byte| number * 31 % 1_000_003 + u64::from(byte))
}

async fn start_router(
    store: &Arc<SwitchedStore>,
    auth: &Arc<dyn AuthApi>,
    clock: &Arc<ManualClock>,
    settings: RouterSettings,
    between: Option<&Between>,
) -> Arc<RouterService> {
    RouterService::start(dependencies(store, auth, clock, settings, between)).await.unwrap()
}

fn open(path: &Path, clock: &Arc<ManualClock>) -> Arc<EmbeddedStore> {
    EmbeddedStore::open(path, Region::Singapore, clock.clone()).unwrap()
}

fn dependencies(
    store: &Arc<SwitchedStore>,
    auth: &Arc<dyn AuthApi>,
    clock: &Arc<ManualClock>,
    settings: RouterSettings,
    between: Option<&Between>,
) -> RouterDependencies {
    RouterDependencies {
        region: Region::Singapore,
        store: store.clone(),
        auth: auth.clone(),
        clock: clock.clone(),
        entropy: Arc::new(SeededEntropy::new(SEED.fetch_add(1, Ordering::Relaxed))),
        address: format!("router-{}", SEED.fetch_add(1, Ordering::Relaxed)),
        alone: between.is_none(),
        bus: between.map(Between::join),
        settings,
    }
}
