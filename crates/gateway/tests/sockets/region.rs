use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bulkhead_api::{
    AttachmentApi, AttachmentStream, AttachmentUpload, AuthApi, DeliverySink, PendingPublish, RouterApi,
};
use bulkhead_auth::{AuthService, AuthSettings};
use bulkhead_gateway::{Dependencies, Front, Gateway, GatewaySettings};
use bulkhead_model::{ErrorKind, ManualClock, Region as RegionName, Result, SeededEntropy};
use bulkhead_proto::attachments::{AttachmentRequest, BeginUpload, ReadAttachmentRequest};
use bulkhead_proto::auth::{
    ClientCredentialsGrant, CreateAppRequest, InheritGrant, NewUser, RegisterUsersRequest,
};
use bulkhead_proto::records::Attachment;
use bulkhead_proto::router::*;
use bulkhead_router::{RouterDependencies, RouterService, RouterSettings};
use bulkhead_store_embedded::EmbeddedStore;
use bytes::Bytes;
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::client::Client;

pub(crate) const START_MS: u64 = 1_800_000_000_000;

/// One region with the app `demo#chat` and the users alice and bob.
pub(crate) struct Region {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) auth: Arc<AuthService>,
    pub(crate) router: Arc<Switched>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) address: SocketAddr,
    pub(crate) app: Bytes,
    pub(crate) app_token: String,
    _folder: TempDir,
}

impl Region {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut GatewaySettings)) -> Self {
        Self::behind(Front::default(), change).await
    }

    pub(crate) async fn behind(front: Front, change: impl FnOnce(&mut GatewaySettings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let region = RegionName::Singapore;
        let clock = Arc::new(ManualClock::at(START_MS));
        let entropy = Arc::new(SeededEntropy::new(1));
        let store = EmbeddedStore::open(folder.path(), region, clock.clone()).unwrap();
        let auth =
            AuthService::new(store.clone(), region, clock.clone(), entropy.clone(), AuthSettings::default());
        let created = auth
            .create_app(CreateAppRequest {
                org_name: "demo".into(),
                app_name: "chat".into(),
                ..CreateAppRequest::default()
            })
            .await
            .unwrap();
        let app = created.app.unwrap();
        let user = |name: &str| NewUser { username: name.into(), ..NewUser::default() };
        let users = ["alice", "bob", "carol"].map(user).to_vec();
        auth.register_users(RegisterUsersRequest { app: app.uuid.clone(), users }).await.unwrap();
        let grant = ClientCredentialsGrant {
            app: app.uuid.clone(),
            client_id: app.client_id.clone(),
            client_secret: created.client_secret,
            ttl_s: None,
        };
        let app_token = auth.grant_client_credentials(grant).await.unwrap().access_token;

        let router = RouterService::start(RouterDependencies {
            region,
            store,
            auth: auth.clone(),
            clock: clock.clone(),
            entropy: Arc::new(SeededEntropy::new(3)),
            address: String::new(),
            alone: true,
            bus: None,
            settings: RouterSettings::default(),
        })
        .await
        .unwrap();
        let router = Arc::new(Switched {
            router,
            attached: Mutex::default(),
            refuses: AtomicBool::new(false),
            gate: Semaphore::new(1),
        });
        let mut settings = GatewaySettings::new("http://localhost");
        change(&mut settings);
        let dependencies = Dependencies {
            region,
            auth: auth.clone(),
            router: router.clone(),
            attachments: Arc::new(NoAttachments),
            clock: clock.clone(),
            entropy,
        };
        let gateway = Gateway::start(dependencies, settings).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(gateway.clone().serve(listener, front));
        Self { gateway, auth, router, clock, address, app: app.uuid, app_token, _folder: folder }
    }

    pub(crate) async fn token(&self, user: &str) -> String {
        let grant = InheritGrant {
            app: self.app.clone(),
            username: user.into(),
            auto_create_user: false,
            ttl_s: Some(3600),
        };
        self.auth.grant_inherit(grant).await.unwrap().access_token
    }

    /// A device that is logged in.
    pub(crate) async fn client(&self, user: &str, device: &str) -> Client {
        let mut client = Client::connect(self.address).await;
        client.log_in(user, device, &self.token(user).await).await;
        client
    }
}

/// Sockets carry no attachments.
struct NoAttachments;

#[async_trait]
impl AttachmentApi for NoAttachments {
    async fn begin(&self, _: BeginUpload) -> Result<Box<dyn AttachmentUpload>> {
        Err(ErrorKind::Unimplemented.into())
    }
    async fn head(&self, _: AttachmentRequest) -> Result<Attachment> {
        Err(ErrorKind::Unimplemented.into())
    }
    async fn read(&self, _: ReadAttachmentRequest) -> Result<AttachmentStream> {
        Err(ErrorKind::Unimplemented.into())
    }
    async fn delete(&self, _: AttachmentRequest) -> Result<()> {
        Err(ErrorKind::Unimplemented.into())
    }
}

/// The router with a tap on its tie to the gateway and a gate before its pulls.
pub(crate) struct Switched {
    router: Arc<RouterService>,
    /// The name and the sink of the gateway.
    attached: Mutex<Option<(String, Arc<dyn DeliverySink>)>>,
    /// Takes no gateway.
    refuses: AtomicBool,
    /// A pull takes a permit and gives it back.
    pub(crate) gate: Semaphore,
}

impl Switched {
    /// Loses the gateway, as when the connection between them breaks.
    pub(crate) async fn lose_gateway(&self) {
        let (gateway, sink) = self.attached.lock().take().unwrap();
        self.router.detach(&gateway).await.unwrap();
        sink.detached();
    }

    /// Whether the gateway may attach again.
    pub(crate) fn refuse(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::SeqCst);
    }

    pub(crate) fn is_attached(&self) -> bool {
        self.attached.lock().is_some()
    }
}

#[async_trait]
impl RouterApi for Switched {
    async fn attach(&self, gateway: &str, sink: Arc<dyn DeliverySink>) -> Result<()> {
        if self.refuses.load(Ordering::SeqCst) {
            return Err(ErrorKind::Unavailable.into());
        }
        self.router.attach(gateway, sink.clone()).await?;
        *self.attached.lock() = Some((gateway.to_owned(), sink));
        Ok(())
    }
    async fn detach(&self, gateway: &str) -> Result<()> {
        self.router.detach(gateway).await
    }
    fn publish(&self, request: PublishRequest) -> PendingPublish {
        self.router.publish(request)
    }
    async fn open_session(&self, request: OpenSessionRequest) -> Result<OpenedSession> {
        self.router.open_session(request).await
    }
    async fn close_session(&self, request: CloseSessionRequest) -> Result<()> {
        self.router.close_session(request).await
    }
    async fn unread(&self, request: SessionRequest) -> Result<UnreadQueues> {
        self.router.unread(request).await
    }
    async fn pull(&self, request: PullRequest) -> Result<Page> {
        let _turn = self.gate.acquire().await.unwrap();
        self.router.pull(request).await
    }
    async fn confirm(&self, request: ConfirmRequest) -> Result<()> {
        self.router.confirm(request).await
    }
    async fn history(&self, request: HistoryRequest) -> Result<Page> {
        self.router.history(request).await
    }
    async fn devices(&self, request: UserRequest) -> Result<DeviceList> {
        self.router.devices(request).await
    }
    async fn presence(&self, request: PresenceRequest) -> Result<PresenceList> {
        self.router.presence(request).await
    }
    async fn disconnect(&self, request: DisconnectRequest) -> Result<Disconnected> {
        self.router.disconnect(request).await
    }
    async fn offline_count(&self, request: UserRequest) -> Result<OfflineCount> {
        self.router.offline_count(request).await
    }
    async fn message_status(&self, request: MessageStatusRequest) -> Result<MessageDelivered> {
        self.router.message_status(request).await
    }
    async fn create_channel(&self, request: CreateChannelRequest) -> Result<ChannelInfo> {
        self.router.create_channel(request).await
    }
    async fn channel(&self, request: ChannelRequest) -> Result<ChannelInfo> {
        self.router.channel(request).await
    }
    async fn remove_members(&self, request: MembersRequest) -> Result<MembersChanged> {
        self.router.remove_members(request).await
    }
    async fn join(&self, request: JoinRequest) -> Result<Joined> {
        self.router.join(request).await
    }
    async fn leave(&self, request: MemberRequest) -> Result<()> {
        self.router.leave(request).await
    }
    async fn forget_user(&self, request: UserRequest) -> Result<()> {
        self.router.forget_user(request).await
    }
}
