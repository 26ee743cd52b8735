//! Which topics of the bus this router listens to: those of the users and channels that its gateways have sessions for.

use std::sync::Arc;

use bulkhead_bus::{Bus, Topic};
use bulkhead_model::{AppUuid, Channel};
use tokio::sync::{mpsc, oneshot};

use crate::channels::key::ChannelRef;

/// Wishes that are carried out with one call of the bus.
const WISHES_MAX: usize = 512;

/// Holds topics, or nothing in a region whose only router this is.
#[derive(Clone)]
pub(crate) struct Topics(Option<mpsc::UnboundedSender<Wish>>);

/// A topic that is listened to until this is dropped.
pub(crate) struct Holding(Option<(mpsc::UnboundedSender<Wish>, Topic)>);

enum Wish {
    Hold(Topic),
    LetGo(Topic),
    Settle(oneshot::Sender<()>),
}

impl Topics {
    /// Nothing is listened to.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// Carries wishes out, in order, until the last holder is gone. As many wait as there are sessions and channels.
    pub(crate) fn start(bus: Arc<dyn Bus>) -> Self {
        let (wishes, wished) = mpsc::unbounded_channel();
        tokio::spawn(carry_out(bus, wished));
        Self(Some(wishes))
    }

    pub(crate) fn hold_user(&self, app: AppUuid, user: &str) -> Holding {
        self.hold(|| Some(Topic::user(app, user)))
    }

    pub(crate) fn hold_channel(&self, channel: &ChannelRef) -> Holding {
        self.hold(|| topic_of(channel))
    }

    /// Returns when everything that was held before is listened to.
    pub(crate) async fn settled(&self) {
        let Some(wishes) = &self.0 else { return };
        let (done, settled) = oneshot::channel();
        if wishes.send(Wish::Settle(done)).is_ok() {
            let _ = settled.await;
        }
    }

    fn hold(&self, topic: impl FnOnce() -> Option<Topic>) -> Holding {
        let Some((wishes, topic)) = self.0.as_ref().zip(self.0.is_some().then(topic).flatten()) else {
            return Holding(None);
        };
        let _ = wishes.send(Wish::Hold(topic.clone()));
        Holding(Some((wishes.clone(), topic)))
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        if let Some((wishes, topic)) = self.0.take() {
            let _ = wishes.send(Wish::LetGo(topic));
        }
    }
}

/// The topic of a group or room.
pub(crate) fn topic_of(channel: &ChannelRef) -> Option<Topic> {
    Some(Topic::channel(channel.app(), &Channel::from_key(channel.text()).ok()?))
}

async fn carry_out(bus: Arc<dyn Bus>, mut wished: mpsc::UnboundedReceiver<Wish>) {
    let mut wishes = Vec::with_capacity(WISHES_MAX);
    while wished.recv_many(&mut wishes, WISHES_MAX).await > 0 {
        let (mut held, mut let_go, mut settled) = (Vec::new(), Vec::new(), Vec::new());
        for wish in wishes.drain(..) {
            match wish {
                Wish::Hold(topic) => held.push(topic),
                Wish::LetGo(topic) => let_go.push(topic),
                Wish::Settle(done) => settled.push(done),
            }
        }
        // Held first: a topic whose holder changes is listened to all the time.
        let outcomes = [bus.subscribe(held).await, bus.unsubscribe(let_go).await];
        for error in outcomes.into_iter().filter_map(Result::err) {
            tracing::error!(%error, "the bus does not listen to some topics; their messages come late");
        }
        for done in settled {
            let _ = done.send(());
        }
    }
}
