//! The gateway's tie to its router: made at the start, made again whenever it breaks. Sockets outlive it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bulkhead_api::DeliverySink;
use bulkhead_model::{ErrorKind, Result};
use bulkhead_proto::router::GatewayEvent;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::Gateway;
use crate::sockets::{Hub, reopen_sessions};

/// How long one attempt may take, in milliseconds.
const ATTEMPT_LIMIT_MS: u64 = 5_000;

/// For how long a start tries, in milliseconds.
const START_LIMIT_MS: u64 = 5_000;

/// Pauses between attempts, in milliseconds.
const PAUSE_MS_MIN: u64 = 50;
const PAUSE_MS_MAX: u64 = 2_000;

/// The time for which sockets stay open: it ends when there was no router for too long, or when the gateway stops.
#[derive(Default)]
pub(crate) struct Tenure {
    over: AtomicBool,
    token: CancellationToken,
}

impl Tenure {
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Resolves when it is over.
    pub(crate) fn ends(&self) -> WaitForCancellationFutureOwned {
        self.token.clone().cancelled_owned()
    }

    fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
        self.token.cancel();
    }
}

/// How the gateway stands to its router.
pub(crate) struct Attachment {
    tenure: Mutex<Arc<Tenure>>,
    /// The number of the attachment that holds; 0 while there is none.
    current: watch::Sender<u64>,
    /// The number of the next one.
    next: AtomicU64,
    broken: Arc<Notify>,
}

impl Attachment {
    pub(crate) fn new() -> Self {
        Self {
            tenure: Mutex::default(),
            current: watch::Sender::new(0),
            next: AtomicU64::new(1),
            broken: Arc::default(),
        }
    }

    /// What a new socket lives under.
    pub(crate) fn tenure(&self) -> Arc<Tenure> {
        self.tenure.lock().clone()
    }

    /// Closes all sockets that there are.
    pub(crate) fn give_up_sockets(&self) {
        self.tenure().end();
    }

    /// Answers whether it was the current one.
    fn end(&self, number: u64) -> bool {
        self.current.send_if_modified(|current| {
            let holds = *current == number;
            *current = if holds { 0 } else { *current };
            holds
        })
    }

    /// The number of this attachment, or of the next one when there is none.
    pub(crate) async fn current(&self) -> u64 {
        let mut current = self.current.subscribe();
        // The sender is ours, so that it cannot be gone.
        current.wait_for(|number| *number > 0).await.map_or(0, |number| *number)
    }

    /// Whether the router still knows what it was told under this attachment.
    pub(crate) fn holds(&self, number: u64) -> bool {
        *self.current.borrow() == number
    }
}

/// Takes the router's events. Holds the gateway weakly: the router's hold on it must not keep a stopped gateway alive.
struct Sink {
    hub: Arc<Hub>,
    gateway: Weak<Gateway>,
    number: u64,
    gone: AtomicBool,
}

impl DeliverySink for Sink {
    fn deliver(&self, events: Vec<GatewayEvent>) {
        self.hub.deliver(events);
    }

    fn detached(&self) {
        self.gone.store(true, Ordering::SeqCst);
        let Some(gateway) = self.gateway.upgrade() else { return };
        if !gateway.stopping.is_cancelled() && gateway.attachment.end(self.number) {
            tracing::warn!("the router has lost this gateway's sessions; they are opened at another");
            gateway.attachment.broken.notify_one();
        }
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
        let attachment = &self.attachment;
        let sink = Arc::new(Sink {
            hub: Arc::clone(&self.hub),
            gateway: Arc::downgrade(self),
            number: attachment.next.fetch_add(1, Ordering::Relaxed),
            gone: AtomicBool::new(false),
        });
        let limit = Duration::from_millis(ATTEMPT_LIMIT_MS);
        match tokio::time::timeout(limit, self.router.attach(&self.name, sink.clone())).await {
            Ok(outcome) => outcome?,
            Err(_) => return Err(ErrorKind::Timeout.into()),
        }
        attachment.current.send_replace(sink.number);
        // It may have been lost before anybody knew that it was there.
        if sink.gone.load(Ordering::SeqCst) && attachment.end(sink.number) {
            return Err(ErrorKind::Unavailable.into());
        }
        Ok(())
    }

    /// Attaches again, however long it takes; gives up the sockets when it takes too long.
    async fn attach_again(self: &Arc<Self>) {
        let since = Instant::now();
        let mut pause_ms = PAUSE_MS_MIN;
        while let Err(error) = self.attach().await {
            tracing::warn!(%error, "no router can be reached");
            if since.elapsed() > Duration::from_millis(self.settings.router_wait_ms) {
                let old = std::mem::take(&mut *self.attachment.tenure.lock());
                old.end();
            }
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            pause_ms = (pause_ms * 2).min(PAUSE_MS_MAX);
        }
        tracing::info!("attached to a router again");
    }
}

async fn stay_attached(gateway: Weak<Gateway>, broken: Arc<Notify>) {
    loop {
        broken.notified().await;
        loop {
            let Some(gateway) = gateway.upgrade() else { return };
            gateway.attach_again().await;
            tokio::select! {
                () = reopen_sessions(&gateway) => break,
                // And so is this one.
                () = broken.notified() => {}
            }
        }
    }
}
