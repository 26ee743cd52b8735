//! A real loopback server around hand-made services.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use bulkhead_api::{DeliverySink, PendingPublish, RouterApi};
use bulkhead_model::{ErrorKind, Region, Result};
use bulkhead_proto::router::{
    CloseSessionRequest, ConfirmRequest, DeviceList, DisconnectRequest, Disconnected, GatewayEvent,
    HistoryRequest, MessageDelivered, MessageStatusRequest, OfflineCount, OpenSessionRequest, OpenedSession,
    Page, PresenceList, PresenceRequest, PublishRequest, Published, PullRequest, SessionRequest,
    UnreadQueues, UserRequest,
};
use bulkhead_rpc::{Identity, Peer, RouterClient, RpcServer, Service, connect};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) type RawRouter = bulkhead_proto::router::router_client::RouterClient<tonic::transport::Channel>;

pub(crate) const REGION: Region = Region::Singapore;

/// A server that runs until it is told to stop.
pub(crate) struct Serving {
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<Result<()>>,
}

impl Serving {
    /// Serves on a port of the system's choice.
    pub(crate) async fn start(server: impl FnOnce(CancellationToken) -> RpcServer) -> Self {
        Self::start_on("127.0.0.1:0".parse().unwrap(), server).await
    }

    pub(crate) async fn start_on(
        address: SocketAddr,
        server: impl FnOnce(CancellationToken) -> RpcServer,
    ) -> Self {
        Self::start_as(&Identity::insecure(REGION), address, server).await
    }

    pub(crate) async fn start_as(
        identity: &Identity,
        address: SocketAddr,
        server: impl FnOnce(CancellationToken) -> RpcServer,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let stop = CancellationToken::new();
        let address = listener.local_addr().unwrap();
        let (server, identity) = (server(stop.clone()), identity.clone());
        let task = tokio::spawn(async move { server.serve(listener, &identity).await });
        Self { address, stop, task }
    }

    /// The way to it without certificates, as a process of `region`.
    pub(crate) fn peer(&self, region: Region) -> Peer {
        let address = format!("http://{}", self.address);
        connect(&Identity::insecure(region), Service::Router, &address).unwrap()
    }

    /// The way to it with certificates.
    pub(crate) fn peer_as(&self, identity: &Identity, service: Service) -> Peer {
        connect(identity, service, &format!("https://{}", self.address)).unwrap()
    }

    /// A generated client, without the region guard of the crate's own clients.
    pub(crate) fn raw_router(&self) -> RawRouter {
        let url = format!("http://{}", self.address);
        RawRouter::new(tonic::transport::Endpoint::from_shared(url).unwrap().connect_lazy())
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }
}

/// A router that writes down what it is asked and leaves the answers to the test.
#[derive(Default)]
pub(crate) struct NotingRouter {
    /// When set, a publish is answered at once with its client id as server id.
    pub(crate) answers_at_once: bool,
    pub(crate) published: Mutex<Vec<u64>>,
    pub(crate) waiting: Mutex<Vec<oneshot::Sender<Result<Published>>>>,
    pub(crate) sinks: Mutex<Vec<Arc<dyn DeliverySink>>>,
    pub(crate) notes: Option<mpsc::UnboundedSender<Note>>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Note {
    Attached(String),
    Detached(String),
    Published(u64),
}

impl NotingRouter {
    pub(crate) fn noting() -> (Self, mpsc::UnboundedReceiver<Note>) {
        let (notes, noted) = mpsc::unbounded_channel();
        (Self { notes: Some(notes), ..Self::default() }, noted)
    }

    pub(crate) async fn serve(self: &Arc<Self>) -> (Serving, RouterClient) {
        let api: Arc<dyn RouterApi> = self.clone();
        let serving = Serving::start(|stop| RpcServer::router(REGION, api, stop)).await;
        let client = RouterClient::new(serving.peer(REGION));
        (serving, client)
    }

    fn note(&self, note: Note) {
        if let Some(notes) = &self.notes {
            let _ = notes.send(note);
        }
    }
}

#[async_trait]
impl RouterApi for NotingRouter {
    async fn attach(&self, gateway: &str, sink: Arc<dyn DeliverySink>) -> Result<()> {
        self.sinks.lock().push(sink);
        self.note(Note::Attached(gateway.to_owned()));
        Ok(())
    }

    async fn detach(&self, gateway: &str) -> Result<()> {
        self.note(Note::Detached(gateway.to_owned()));
        Ok(())
    }

    fn publish(&self, request: PublishRequest) -> PendingPublish {
        self.published.lock().push(request.client_id);
        let (answer, pending) = PendingPublish::new();
        if self.answers_at_once {
            answer.send(Ok(Published { id: request.client_id, ..Default::default() })).unwrap();
        } else {
            self.waiting.lock().push(answer);
        }
        self.note(Note::Published(request.client_id));
        pending
    }

    async fn open_session(&self, _: OpenSessionRequest) -> Result<OpenedSession> {
        Err(ErrorKind::Unimplemented.into())
    }

    async fn close_session(&self, _: CloseSessionRequest) -> Result<()> {
        Ok(())
    }

    async fn unread(&self, _: SessionRequest) -> Result<UnreadQueues> {
        Err(ErrorKind::Unimplemented.into())
    }

    async fn pull(&self, _: PullRequest) -> Result<Page> {
        Err(ErrorKind::Unimplemented.into())
    }

    async fn confirm(&self, request: ConfirmRequest) -> Result<()> {
        if request.positions.is_empty() { Err(ErrorKind::NotOwner.with("no positions")) } else { Ok(()) }
    }

    async fn history(&self, _: HistoryRequest) -> Result<Page> {
        Err(ErrorKind::NotMember.into())
    }

    async fn devices(&self, _: UserRequest) -> Result<DeviceList> {
        Err(ErrorKind::Unimplemented.into())
    }

    async fn presence(&self, request: PresenceRequest) -> Result<PresenceList> {
        Ok(PresenceList { online: request.users.iter().map(|user| user == "alice").collect() })
    }

    async fn disconnect(&self, _: DisconnectRequest) -> Result<Disconnected> {
        Err(ErrorKind::Unimplemented.into())
    }

    async fn offline_count(&self, _: UserRequest) -> Result<OfflineCount> {
        Ok(OfflineCount { messages: 7 })
    }

    async fn message_status(&self, _: MessageStatusRequest) -> Result<MessageDelivered> {
        Err(ErrorKind::Unimplemented.into())
    }

    async fn forget_user(&self, _: UserRequest) -> Result<()> {
        Ok(())
    }
}

/// A gateway's sink that hands everything to the test.
pub(crate) struct NotingSink {
    pub(crate) events: mpsc::UnboundedSender<Option<GatewayEvent>>,
}

impl NotingSink {
    pub(crate) fn new() -> (Arc<Self>, mpsc::UnboundedReceiver<Option<GatewayEvent>>) {
        let (events, noted) = mpsc::unbounded_channel();
        (Arc::new(Self { events }), noted)
    }
}

impl DeliverySink for NotingSink {
    fn deliver(&self, events: Vec<GatewayEvent>) {
        for event in events {
            let _ = self.events.send(Some(event));
        }
    }

    fn detached(&self) {
        let _ = self.events.send(None);
    }
}
