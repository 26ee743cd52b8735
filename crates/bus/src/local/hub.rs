use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use bulkhead_model::Result;
use parking_lot::Mutex;

use crate::{Bus, BusSink, Frame, SUBSCRIPTIONS_MAX, Subscriptions, Topic, check_payloads};

/// What the buses of one process share.
#[derive(Default)]
pub struct LocalHub {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next_id: u64,
    subscribers: HashMap<Topic, Vec<Subscriber>>,
}

#[derive(Clone)]
struct Subscriber {
    id: u64,
    sink: Arc<dyn BusSink>,
}

/// One subscriber of a [`LocalHub`]; it is forgotten when it is dropped.
pub struct LocalBus {
    hub: Arc<LocalHub>,
    subscriber: Subscriber,
    subscriptions: Mutex<Subscriptions>,
}

impl LocalHub {
    /// A hub without subscribers.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// A further bus of the hub; what it subscribes to comes out at `sink`.
    pub fn attach(self: &Arc<Self>, sink: Arc<dyn BusSink>) -> Arc<LocalBus> {
        let mut state = self.state.lock();
        state.next_id += 1;
        let subscriber = Subscriber { id: state.next_id, sink };
        let subscriptions = Mutex::new(Subscriptions::new(SUBSCRIPTIONS_MAX));
        Arc::new(LocalBus { hub: self.clone(), subscriber, subscriptions })
    }

    fn forget<'a>(&self, id: u64, topics: impl IntoIterator<Item = &'a Topic>) {
        let mut state = self.state.lock();
        for topic in topics {
            if let Some(subscribers) = state.subscribers.get_mut(topic) {
                subscribers.retain(|subscriber| subscriber.id != id);
                if subscribers.is_empty() {
                    state.subscribers.remove(topic);
                }
            }
        }
    }
}

#[async_trait]
impl Bus for LocalBus {
    async fn publish(&self, frames: Vec<Frame>) -> Result<()> {
        check_payloads(&frames, self.payload_bytes_max())?;
        // Under the lock, so that every subscriber sees the same order; sinks do not block.
        let state = self.hub.state.lock();
        for frame in frames {
            for subscriber in state.subscribers.get(&frame.topic).into_iter().flatten() {
                subscriber.sink.frame(frame.clone());
            }
        }
        Ok(())
    }

    async fn subscribe(&self, topics: Vec<Topic>) -> Result<()> {
        // Held until the hub knows them, so that an unsubscribe at the same time cannot come between.
        let mut subscriptions = self.subscriptions.lock();
        let first = subscriptions.add(topics)?;
        let mut state = self.hub.state.lock();
        for topic in first {
            state.subscribers.entry(topic).or_default().push(self.subscriber.clone());
        }
        Ok(())
    }

    async fn unsubscribe(&self, topics: Vec<Topic>) -> Result<()> {
        let mut subscriptions = self.subscriptions.lock();
        let last = subscriptions.remove(topics);
        self.hub.forget(self.subscriber.id, &last);
        Ok(())
    }
}

impl Drop for LocalBus {
    fn drop(&mut self) {
        self.hub.forget(self.subscriber.id, self.subscriptions.get_mut().topics());
    }
}
