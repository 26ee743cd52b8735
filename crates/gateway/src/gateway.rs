use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use bulkhead_api::{AttachmentApi, AuthApi, RouterApi};
use bulkhead_model::{Clock, Entropy, Region, Result};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::attachment::Attachment;
use crate::sockets::{self, Hub, Lately, Meters};
use crate::{GatewaySettings, rest};

/// How long a drain waits for what clients are still owed, in milliseconds.
const DRAIN_LIMIT_MS: u64 = 10_000;

/// How long the router may take to forget this gateway, in milliseconds.
const DETACH_LIMIT_MS: u64 = 2_000;

/// What the gateway needs from the rest of the region.
pub struct Dependencies {
    pub region: Region,
    pub auth: Arc<dyn AuthApi>,
    pub router: Arc<dyn RouterApi>,
    pub attachments: Arc<dyn AttachmentApi>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
}

/// One running gateway.
pub struct Gateway {
    pub(crate) region: Region,
    pub(crate) auth: Arc<dyn AuthApi>,
    pub(crate) router: Arc<dyn RouterApi>,
    pub(crate) attachments: Arc<dyn AttachmentApi>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) settings: GatewaySettings,
    /// Unique to this run: what the router knows it by.
    pub(crate) name: String,
    /// The sessions that are logged in.
    pub(crate) hub: Arc<Hub>,
    /// What changed so short a time ago that a login may have been judged before it.
    pub(crate) lately: Lately,
    pub(crate) attachment: Attachment,
    /// Attachments on their way in and out.
    pub(crate) transfers: Arc<rest::Transfers>,
    pub(crate) thumbnails: Arc<rest::Thumbnails>,
    /// Set once, by the drain.
    pub(crate) stopping: CancellationToken,
    /// Every connection and socket.
    pub(crate) tasks: TaskTracker,
    pub(crate) meters: Meters,
}

impl Gateway {
    /// Starts a gateway: attaches it to its router, which is tried for a few seconds, and keeps it attached. No client
    /// reaches it before [`Gateway::serve`]. `Unavailable` or `Timeout` when the router does not answer; the caller may
    /// try again.
    pub async fn start(dependencies: Dependencies, settings: GatewaySettings) -> Result<Arc<Self>> {
        let gateway = Self::new(dependencies, settings);
        gateway.attach_first().await?;
        let watching = sockets::watch_grants(Arc::downgrade(&gateway));
        let stopping = gateway.stopping.clone();
        tokio::spawn(async move {
            let _ = stopping.run_until_cancelled(watching).await;
        });
        Ok(gateway)
    }

    /// A gateway that is not attached to its router yet.
    pub(crate) fn new(dependencies: Dependencies, settings: GatewaySettings) -> Arc<Self> {
        let Dependencies { region, auth, router, attachments, clock, entropy } = dependencies;
        let name = format!("gateway-{:016x}", entropy.next_u64());
        let stopping = CancellationToken::new();
        Arc::new(Self {
            region,
            auth,
            router,
            attachments,
            clock,
            entropy,
            name,
            hub: Arc::new(Hub::new(settings.outbox_bytes_max)),
            lately: Lately::default(),
            attachment: Attachment::new(),
            settings,
            transfers: Arc::default(),
            thumbnails: Arc::new(rest::Thumbnails::new()),
            stopping,
            tasks: TaskTracker::new(),
            meters: Meters::new(),
        })
    }

    /// Everything that clients reach: the REST API, and MSYNC at `/websocket` and `/ws`.
    ///
    /// The listener is expected to add `ConnectInfo<SocketAddr>` to each request, as [`Gateway::serve`] does; without
    /// it no limit by client address applies.
    pub fn routes(self: &Arc<Self>) -> Router {
        rest::routes(Arc::clone(self)).merge(sockets::routes(Arc::clone(self)))
    }

    /// Stops accepting, answers what was taken, tells every socket to reconnect elsewhere, and leaves the router. Takes
    /// a bounded time.
    pub async fn drain(&self) {
        self.stopping.cancel();
        self.attachment.give_up_sockets();
        self.tasks.close();
        let limit = Duration::from_millis(DRAIN_LIMIT_MS);
        if tokio::time::timeout(limit, self.tasks.wait()).await.is_err() {
            tracing::warn!(connections = self.tasks.len(), "connections are cut that did not end in time");
        }
        let detach = self.router.detach(&self.name);
        // If the router is gone, so is what it knew of this gateway.
        let _ = tokio::time::timeout(Duration::from_millis(DETACH_LIMIT_MS), detach).await;
    }
}
