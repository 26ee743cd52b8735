use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;

use bulkhead_bus::{Frame, SlotSet, Topic};
use bulkhead_model::Result;
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{PushInfo, PushKind, Value};
use tokio::sync::Notify;

use super::Shard;
use crate::Layout;
use crate::connect::{Failed, Pushes, query};
use crate::core::{Backoff, Core};
use crate::names::{GAP_CHANNEL, channel_of, topic_of};

/// Most subscriptions of one pipeline.
const PIPELINE_TOPICS_MAX: usize = 500;

/// A connection with the topics that are subscribed on it.
pub(super) struct Subscribing {
    connection: MultiplexedConnection,
    topics: HashSet<Topic>,
    link: Arc<Link>,
}

/// What the reader of a connection and its owner share.
struct Link {
    core: Arc<Core>,
    shard: Arc<Shard>,
    lost: Notify,
    /// Topics that were given up and whose confirmation has not come.
    leaving: Mutex<HashSet<Topic>>,
}

/// Connects, and listens to the gap channel.
pub(super) async fn open(core: &Arc<Core>, shard: &Arc<Shard>) -> Result<Subscribing> {
    let link = Arc::new(Link {
        core: core.clone(),
        shard: shard.clone(),
        lost: Notify::new(),
        leaving: Mutex::default(),
    });
    let pushes = Box::new(Reader(link.clone()));
    let mut connection = core.connector.open(&shard.address, Some(&shard.mark(core)), Some(pushes)).await?;
    let mut pipe = redis::pipe();
    pipe.cmd("SUBSCRIBE").arg(GAP_CHANNEL);
    query(&mut connection, &pipe, 1).await.map_err(|failed| failed.of(&shard.address))?;
    Ok(Subscribing { connection, topics: HashSet::new(), link })
}

/// Keeps the shard's subscriptions as they are wanted until it is stopped.
pub(super) async fn run(core: Arc<Core>, shard: Arc<Shard>, mut first: Option<Subscribing>) {
    let mut backoff = Backoff::new(core.limits.retry_max);
    // Whoever connects at the start has missed nothing.
    let mut missed = first.is_none();
    loop {
        let opened = match first.take() {
            Some(subscribing) => Ok(subscribing),
            None => tokio::select! {
                () = shard.stop.cancelled() => return,
                opened = open(&core, &shard) => opened,
            },
        };
        match opened {
            Ok(subscribing) => {
                backoff.connected();
                let lost = tokio::select! {
                    () = shard.stop.cancelled() => None,
                    lost = serve(&core, &shard, subscribing, missed) => Some(lost),
                };
                shard.wishes.down();
                metrics::gauge!("bulkhead_bus_shard_up", "shard" => shard.address.clone()).set(0);
                let Some(lost) = lost else { return };
                let error = lost.map(|failed| failed.of(&shard.address).to_string());
                let error = error.unwrap_or_else(|| "the connection was closed".to_owned());
                tracing::warn!(shard = shard.address, error, "lost the subscriptions of a shard of the bus");
            }
            Err(error) => {
                tracing::warn!(shard = shard.address, %error, "cannot subscribe to a shard of the bus");
            }
        }
        missed = true;
        core.moved.notify_one();
        tokio::select! {
            () = shard.stop.cancelled() => return,
            () = tokio::time::sleep(backoff.pause()) => {}
        }
    }
}

/// Answers why the connection is of no more use; `None` when its reader found out.
async fn serve(core: &Core, shard: &Shard, mut subscribing: Subscribing, missed: bool) -> Option<Failed> {
    let link = subscribing.link.clone();
    tokio::select! {
        ended = subscribing.keep(core, shard, missed) => ended.err(),
        () = link.lost.notified() => None,
    }
}

impl Subscribing {
    /// Subscribes to everything that is wanted and follows what changes.
    async fn keep(&mut self, core: &Core, shard: &Shard, missed: bool) -> Result<Infallible, Failed> {
        shard.wishes.begin();
        self.change(core.layout, core.wanted_in(&shard.slots())).await?;
        shard.wishes.up();
        self.settle(core, shard).await?;
        if missed {
            core.sink.gap(&shard.slots());
        }
        metrics::gauge!("bulkhead_bus_shard_up", "shard" => shard.address.clone()).set(1);
        tracing::info!(shard = shard.address, missed, "subscribed to a shard of the bus");
        loop {
            let changed = tokio::time::timeout(core.limits.ping, shard.wishes.changed.notified()).await;
            if changed.is_err() {
                let mut ping = redis::pipe();
                ping.cmd("PING");
                query(&mut self.connection, &ping, 1).await?;
            }
            self.settle(core, shard).await?;
        }
    }

    /// Does what is wished until nothing is left.
    async fn settle(&mut self, core: &Core, shard: &Shard) -> Result<(), Failed> {
        while let Some(changed) = shard.wishes.take() {
            self.change(core.layout, changed.topics).await?;
            for waiter in changed.waiting {
                let _ = waiter.send(());
            }
        }
        Ok(())
    }

    /// Subscribes to those of the topics that are wanted here and were not, and the other way round.
    async fn change(
        &mut self,
        layout: Layout,
        topics: impl IntoIterator<Item = Topic>,
    ) -> Result<(), Failed> {
        let (mut come, mut go) = (Vec::new(), Vec::new());
        {
            let (wanted, slots) = (self.link.core.wanted.read(), self.link.shard.slots());
            for topic in topics {
                let is_wanted = slots.contains(topic.slot()) && wanted.contains(&topic);
                match (is_wanted, self.topics.contains(&topic)) {
                    (true, false) => come.push(topic),
                    (false, true) => go.push(topic),
                    _ => {}
                }
            }
        }
        let (subscribe, unsubscribe) = match layout {
            Layout::Primaries => ("SUBSCRIBE", "UNSUBSCRIBE"),
            Layout::Cluster => ("SSUBSCRIBE", "SUNSUBSCRIBE"),
        };
        for topics in come.chunks(PIPELINE_TOPICS_MAX) {
            self.send(subscribe, topics).await?;
            self.topics.extend(topics.iter().cloned());
        }
        for topics in go.chunks(PIPELINE_TOPICS_MAX) {
            self.link.leaving.lock().extend(topics.iter().cloned());
            self.send(unsubscribe, topics).await?;
            for topic in topics {
                self.topics.remove(topic);
            }
        }
        Ok(())
    }

    /// One command for each topic, because each is confirmed by one answer.
    async fn send(&mut self, command: &str, topics: &[Topic]) -> Result<(), Failed> {
        let mut pipe = redis::Pipeline::with_capacity(topics.len());
        for topic in topics {
            pipe.cmd(command).arg(&channel_of(topic)[..]);
        }
        query(&mut self.connection, &pipe, topics.len()).await?;
        Ok(())
    }
}

struct Reader(Arc<Link>);

impl Pushes for Reader {
    fn take(&self, push: PushInfo) {
        match push.kind {
            PushKind::Message | PushKind::SMessage => self.message(push.data),
            PushKind::Unsubscribe | PushKind::SUnsubscribe => self.left(push.data),
            PushKind::Disconnection => self.0.lost.notify_one(),
            _ => {}
        }
    }
}

impl Reader {
    fn message(&self, data: Vec<Value>) {
        let mut parts = data.into_iter();
        let (Some(Value::BulkString(channel)), Some(Value::BulkString(payload))) =
            (parts.next(), parts.next())
        else {
            return;
        };
        let core = &self.0.core;
        if channel == GAP_CHANNEL {
            if let Some(slots) = SlotSet::from_bytes(&payload) {
                core.sink.gap(&slots.common(&self.0.shard.slots()));
            }
            return;
        }
        let Some(topic) = topic_of(&channel) else { return };
        if core.wanted.read().contains(&topic) {
            core.sink.frame(Frame { topic, payload: payload.into() });
        }
    }

    /// A node that gives a slot away ends its subscriptions unasked.
    fn left(&self, data: Vec<Value>) {
        let Some(Value::BulkString(channel)) = data.first() else { return };
        let Some(topic) = topic_of(channel) else { return };
        if !self.0.leaving.lock().remove(&topic) {
            self.0.core.moved.notify_one();
            self.0.lost.notify_one();
        }
    }
}
