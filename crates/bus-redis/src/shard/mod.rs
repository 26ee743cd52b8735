//! One Redis process: what waits for it, and its two connections.

mod commands;
mod publisher;
mod queue;
mod subscriber;
mod wishes;

use std::sync::Arc;

use bulkhead_bus::SlotSet;
use bulkhead_model::Result;
use parking_lot::RwLock;
use redis::{PushInfo, PushKind};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

pub(crate) use commands::Commands;
pub(crate) use queue::PublishQueue;
pub(crate) use wishes::Wishes;

use crate::connect::Pushes;
use crate::core::Core;
use crate::names::mark_of;

/// One Redis process as the bus uses it.
pub(crate) struct Shard {
    pub(crate) address: String,
    /// What lies on it; changes only in a cluster.
    slots: RwLock<SlotSet>,
    pub(crate) publishes: PublishQueue,
    pub(crate) wishes: Wishes,
    /// The connection for everything that is no subscription; `None` while it is away.
    pub(crate) commands: RwLock<Option<Commands>>,
    pub(crate) stop: CancellationToken,
}

impl Shard {
    pub(crate) fn new(address: String, slots: SlotSet, stop: CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            address,
            slots: RwLock::new(slots),
            publishes: PublishQueue::default(),
            wishes: Wishes::default(),
            commands: RwLock::default(),
            stop,
        })
    }

    pub(crate) fn slots(&self) -> SlotSet {
        *self.slots.read()
    }

    pub(crate) fn set_slots(&self, slots: SlotSet) {
        *self.slots.write() = slots;
    }

    /// Connects twice and starts to serve. What keeps a first connection from being made is the error.
    pub(crate) async fn start(self: &Arc<Self>, core: &Arc<Core>) -> Result<()> {
        let commands = self.open_commands(core).await?;
        let subscribing = subscriber::open(core, self).await?;
        // Already now, so that the first calls find both at work.
        self.serve_commands(Some(commands.clone()));
        self.wishes.up();
        tokio::spawn(publisher::run(core.clone(), self.clone(), Some(commands)));
        tokio::spawn(subscriber::run(core.clone(), self.clone(), Some(subscribing)));
        Ok(())
    }

    /// Starts to serve and to try to connect; tells a gap when it has.
    pub(crate) fn start_later(self: &Arc<Self>, core: &Arc<Core>) {
        tokio::spawn(publisher::run(core.clone(), self.clone(), None));
        tokio::spawn(subscriber::run(core.clone(), self.clone(), None));
    }

    async fn open_commands(&self, core: &Core) -> Result<Commands> {
        let lost = Arc::new(Notify::new());
        let pushes = Box::new(LossOnly(lost.clone()));
        let connection = core.connector.open(&self.address, Some(&self.mark(core)), Some(pushes)).await?;
        Commands::load(connection, lost).await.map_err(|failed| failed.of(&self.address))
    }

    /// From now on frames and commands are taken; with `None` they are not.
    fn serve_commands(&self, commands: Option<Commands>) {
        let is_up = commands.is_some();
        *self.commands.write() = commands;
        if is_up {
            self.publishes.up();
        } else {
            self.publishes.down();
        }
    }

    fn mark(&self, core: &Core) -> String {
        mark_of(core.layout, &self.slots())
    }
}

/// Tells only that the connection is gone.
struct LossOnly(Arc<Notify>);

impl Pushes for LossOnly {
    fn take(&self, push: PushInfo) {
        if push.kind == PushKind::Disconnection {
            self.0.notify_one();
        }
    }
}
