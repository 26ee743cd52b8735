//! The gateway's tie to its router: made at the start, made again whenever it breaks.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bulkhead_api::DeliverySink;
use bulkhead_model::{ErrorKind, Result};
use bulkhead_proto::router::GatewayEvent;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Gateway;
use crate::sockets::Hub;

/// How long one attempt may take, in milliseconds.
const ATTEMPT_LIMIT_MS: u64 = 5_000;

/// For how long a start tries, in milliseconds.
const START_LIMIT_MS: u64 = 5_000;

/// Pauses between attempts, in milliseconds.
const PAUSE_MS_MIN: u64 = 50;
const PAUSE_MS_MAX: u64 = 2_000;

/// How the gateway stands to its router.
pub(crate) struct Attachment {
    /// Cancelled when the router has lost the sessions that were opened under it, or when the gateway stops.
    current: Mutex<CancellationToken>,
    broken: Arc<Notify>,
}

impl Attachment {
    pub(crate) fn new(stopping: &CancellationToken) -> Self {
        Self { current: Mutex::new(stopping.child_token()), broken: Arc::default() }
    }

    /// What a new socket lives under.
    pub(crate) fn current(&self) -> CancellationToken {
        self.current.lock().clone()
    }
}

/// Takes the router's events. Holds the gateway weakly: the router's hold on it must not keep a stopped gateway alive.
struct Sink {
    hub: Arc<Hub>,
    gateway: Weak<Gateway>,
}

impl DeliverySink for Sink {
    fn deliver(&self, events: Vec<GatewayEvent>) {
        self.hub.deliver(events);
    }

    fn detached(&self) {
        let Some(gateway) = self.gateway.upgrade() else { return };
        if gateway.stopping.is_cancelled() {
            return;
        }
        tracing::warn!("the router has lost this gateway's sessions; all sockets are closed");
        let fresh = gateway.stopping.child_token();
        std::mem::replace(&mut *gateway.attachment.current.lock(), fresh).cancel();
        gateway.attachment.broken.notify_one();
    }
}

impl Gateway {
    /// Attaches, and from then on attaches again by itself.
    pub(crate) async fn attach_first(self: &Arc<Self>) -> Result<()> {
        let since = Instant::now();
        let mut pause_ms = PAUSE_MS_MIN;
        while let Err(error) = self.attach().await {
            if since.elapsed() > Duration::from_millis(START_LIMIT_MS) {
                return Err(error);
            }
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            pause_ms = (pause_ms * 2).min(PAUSE_MS_MAX);
        }
        tracing::info!(region = self.region.name(), gateway = self.name, "attached to the router");
        let staying = stay_attached(Arc::downgrade(self), Arc::clone(&self.attachment.broken));
        let stopping = self.stopping.clone();
        tokio::spawn(async move {
            let _ = stopping.run_until_cancelled(staying).await;
        });
        Ok(())
    }

    async fn attach(self: &Arc<Self>) -> Result<()> {
        let sink = Arc::new(Sink { hub: Arc::clone(&self.hub), gateway: Arc::downgrade(self) });
        let limit = Duration::from_millis(ATTEMPT_LIMIT_MS);
        match tokio::time::timeout(limit, self.router.attach(&self.name, sink)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(ErrorKind::Timeout.into()),
        }
    }
}

async fn stay_attached(gateway: Weak<Gateway>, broken: Arc<Notify>) {
    let mut pause_ms = PAUSE_MS_MIN;
    loop {
        broken.notified().await;
        let Some(gateway) = gateway.upgrade() else { return };
        while let Err(error) = gateway.attach().await {
            tracing::warn!(%error, "the router cannot be reached");
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            pause_ms = (pause_ms * 2).min(PAUSE_MS_MAX);
        }
        pause_ms = PAUSE_MS_MIN;
        tracing::info!("attached to the router again");
    }
}
