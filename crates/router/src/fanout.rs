//! A message goes to the topics of its channel, and a topic to the gateways that have sessions for it: one call per
//! gateway and batch, one event per user and gateway, however many devices there are.

use std::sync::Arc;

use bulkhead_bus::{Frame, Topic};
use bulkhead_model::AppUuid;
use bulkhead_proto::router::bus_frame::Signal;
use bulkhead_proto::router::{
    ChannelDelivery, Delivery, GatewayEvent, Membership, Queue, gateway_event::Event,
};

use crate::channels::key::ChannelRef;
use crate::core::Core;
use crate::log::Entry;
use crate::publish::Job;
use crate::sessions::{Gateway, Sessions};
use crate::signals::Others;
use crate::topics::topic_of;

/// The events of one batch, by gateway.
pub(crate) struct Fanout<'a> {
    sessions: &'a Sessions,
    gateways: Vec<(Arc<Gateway>, Vec<GatewayEvent>)>,
    /// What the other routers are to be told.
    outward: Option<(&'a Others, Vec<Frame>)>,
}

/// Puts a message into the topics of the two users of its direct channel, or into that of its group or room.
pub(crate) fn deliver(fanout: &mut Fanout<'_>, job: &Job, entry: &Entry) {
    if let Some(key) = &job.many {
        return fanout.reach_channel(key, || to_many(job, entry));
    }
    let delivery = |user: &str, queue: &str, previous_id, except_device: &str, only_device: &str| Delivery {
        app: job.request.app.clone(),
        user: user.to_owned(),
        queue: Some(Queue { name: queue.to_owned(), kind: job.to.kind }),
        id: entry.id,
        previous_id: if entry.transient { 0 } else { previous_id },
        transient: entry.transient,
        meta: entry.meta.clone(),
        except_device: except_device.to_owned(),
        only_device: only_device.to_owned(),
    };
    let (sender, receiver) = (&job.request.from_user, &job.to.name);
    let (from_device, to_device) = (&job.request.from_device, &job.request.to_device);
    if job.is_to_self() {
        fanout.to(job.app, sender, || {
            delivery(sender, receiver, entry.sender_previous_id, from_device, to_device)
        });
        return;
    }
    fanout.to(job.app, receiver, || delivery(receiver, sender, entry.receiver_previous_id, "", to_device));
    if !job.is_hidden_from_sender() {
        fanout.to(job.app, sender, || delivery(sender, receiver, entry.sender_previous_id, from_device, ""));
    }
}

fn to_many(job: &Job, entry: &Entry) -> ChannelDelivery {
    // Over REST there is no device to be left out; without `sync_device` it is all of the sender's.
    let from_device = if job.is_hidden_from_sender() { "" } else { &job.request.from_device };
    let leaves_out = job.is_hidden_from_sender() || !from_device.is_empty();
    ChannelDelivery {
        app: job.request.app.clone(),
        queue: Some(Queue { name: job.to.name.clone(), kind: job.to.kind }),
        id: entry.id,
        previous_id: if entry.transient { 0 } else { entry.sender_previous_id },
        transient: entry.transient,
        meta: entry.meta.clone(),
        except_user: if leaves_out { job.request.from_user.clone() } else { String::new() },
        except_device: from_device.to_owned(),
        only_users: entry.only_users.clone(),
    }
}

impl<'a> Fanout<'a> {
    /// For this router's gateways and for the other routers.
    pub(crate) fn new(core: &'a Core) -> Self {
        let outward = core.others.listen().then(|| (&core.others, Vec::new()));
        Self { sessions: &core.sessions, gateways: Vec::new(), outward }
    }

    /// For this router's gateways only: another router has told the others.
    pub(crate) fn inward(sessions: &'a Sessions) -> Self {
        Self { sessions, gateways: Vec::new(), outward: None }
    }

    /// Hands every gateway its events; answers what the other routers are to be told.
    pub(crate) fn send(self) -> Vec<Frame> {
        for (gateway, events) in self.gateways {
            gateway.sink.deliver(events);
        }
        self.outward.map(|(_, frames)| frames).unwrap_or_default()
    }

    /// One event for each gateway that has a session of a member.
    pub(crate) fn reach_channel(&mut self, key: &ChannelRef, delivery: impl FnOnce() -> ChannelDelivery) {
        let gateways = self.sessions.gateways_of_channel(key);
        self.put(gateways, || topic_of(key), || Event::ChannelDelivery(delivery()));
    }

    /// One event for each gateway that has a session of the user.
    pub(crate) fn to(&mut self, app: AppUuid, user: &str, delivery: impl FnOnce() -> Delivery) {
        let gateways = self.sessions.gateways_of(app, user);
        self.put(gateways, || Some(Topic::user(app, user)), || Event::Delivery(delivery()));
    }

    /// Who is interested in the channel changes with its members; the gateways of the user learn of it in order.
    pub(crate) fn note(&mut self, key: &ChannelRef, user: &str, membership: impl FnOnce() -> Membership) {
        let membership = membership();
        let gateways = self.sessions.note_membership(key, user, membership.joined);
        self.put(gateways, || Some(Topic::user(key.app(), user)), || Event::Membership(membership));
    }

    pub(crate) fn add(&mut self, gateway: Arc<Gateway>, event: GatewayEvent) {
        match self.gateways.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &gateway)) {
            Some((_, events)) => events.push(event),
            None => self.gateways.push((gateway, vec![event])),
        }
    }

    /// The event is made once, and only if somebody gets it.
    fn put(
        &mut self,
        mut gateways: Vec<Arc<Gateway>>,
        topic: impl FnOnce() -> Option<Topic>,
        event: impl FnOnce() -> Event,
    ) {
        let last = gateways.pop();
        if last.is_none() && self.outward.is_none() {
            return;
        }
        let event = GatewayEvent { event: Some(event()) };
        if let Some((others, frames)) = &mut self.outward
            && let Some(topic) = topic()
        {
            frames.push(others.frame(topic, Signal::Event(event.clone())));
        }
        let Some(last) = last else { return };
        for gateway in gateways {
            self.add(gateway, event.clone());
        }
        self.add(last, event);
    }
}
