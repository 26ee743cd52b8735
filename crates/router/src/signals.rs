//! What routers tell each other over the bus.

use std::sync::Arc;

use bulkhead_bus::{Bus, BusEvent, BusReceiver, Frame, Topic};
use bulkhead_model::AppUuid;
use bulkhead_proto::router::bus_frame::Signal;
use bulkhead_proto::router::gateway_event::Event;
use bulkhead_proto::router::{BusFrame, GatewayEvent, RoomLeft, SlotsChanged};
use bytes::Bytes;
use prost::Message;
use tokio_util::sync::CancellationToken;

use crate::channels::change::Change;
use crate::channels::depart;
use crate::channels::key::ChannelRef;
use crate::channels::submit;
use crate::core::Core;
use crate::fanout::Fanout;
use crate::work::Queues;

/// Events of the bus that are handed on together.
const EVENTS_MAX: usize = 512;

/// The way to the other routers; there is none for one that is alone.
pub(crate) struct Others {
    bus: Option<Arc<dyn Bus>>,
    /// Names this run.
    origin: String,
}

impl Others {
    pub(crate) fn new(bus: Option<Arc<dyn Bus>>, origin: String) -> Self {
        Self { bus, origin }
    }

    /// Whether anybody may listen.
    pub(crate) fn listen(&self) -> bool {
        self.bus.is_some()
    }

    /// A frame for all who listen to the topic.
    pub(crate) fn frame(&self, topic: Topic, signal: Signal) -> Frame {
        let frame = BusFrame { origin: self.origin.clone(), signal: Some(signal) };
        Frame { topic, payload: Bytes::from(frame.encode_to_vec()) }
    }

    /// Hands frames over. What is lost is lost: the log has it, and whoever lacks it is told of a gap.
    pub(crate) async fn tell(&self, frames: Vec<Frame>) {
        let Some(bus) = self.bus.as_ref().filter(|_| !frames.is_empty()) else { return };
        if let Err(error) = bus.publish(frames).await {
            tracing::warn!(%error, "the other routers could not be told; their sessions get it late");
            metrics::counter!("bulkhead_router_untold_total").increment(1);
        }
    }

    /// Slots have changed hands: everybody looks.
    pub(crate) async fn tell_slots_changed(&self) {
        self.tell(vec![self.frame(routers_topic(), Signal::SlotsChanged(SlotsChanged {}))]).await;
    }

    /// A user's last session has ended: whoever owns the room takes the user out.
    pub(crate) async fn tell_room_left(&self, room: &ChannelRef, user: &str) {
        let left = RoomLeft { app: app_bytes(room.app()), room: Some(room.queue()), user: user.to_owned() };
        self.tell(vec![self.frame(routers_topic(), Signal::RoomLeft(left))]).await;
    }
}

/// What every router listens to. No app has this identity.
fn routers_topic() -> Topic {
    Topic::user(AppUuid([0; 16]), "routers")
}

pub(crate) fn app_bytes(app: AppUuid) -> Bytes {
    Bytes::copy_from_slice(&app.0)
}

/// Takes what the others tell until told to stop.
pub(crate) async fn listen(
    core: Arc<Core>,
    queues: Queues,
    bus: Arc<dyn Bus>,
    mut incoming: BusReceiver,
    stop: CancellationToken,
) {
    if let Err(error) = bus.subscribe(vec![routers_topic()]).await {
        tracing::warn!(%error, "the routers' own topic is not listened to");
    }
    let mut events = Vec::with_capacity(EVENTS_MAX);
    loop {
        let taken = tokio::select! {
            () = stop.cancelled() => return,
            taken = incoming.recv_many(&mut events, EVENTS_MAX) => taken,
        };
        if taken == 0 {
            return;
        }
        let mut fanout = Fanout::inward(&core.sessions);
        for event in events.drain(..) {
            match event {
                BusEvent::Frame(frame) => take_in(&core, &queues, &mut fanout, &frame),
                BusEvent::Gap { slots } => {
                    metrics::counter!("bulkhead_router_gaps_total").increment(1);
                    core.look_at_slots.notify_one();
                    if let Some(register) = &core.register {
                        // A shard that was away may have started anew.
                        register.put_again(&slots);
                    }
                    if slots.contains(routers_topic().slot()) {
                        // Somebody who left rooms may not have been heard of.
                        depart::look_at_rooms(&core);
                    }
                    core.regain.add(&slots);
                    core.sessions.recount(&slots, |gateway, event| fanout.add(gateway, event));
                }
            }
        }
        fanout.send();
    }
}

fn take_in(core: &Core, queues: &Queues, fanout: &mut Fanout<'_>, frame: &Frame) {
    let Ok(BusFrame { origin, signal: Some(signal) }) = BusFrame::decode(frame.payload.clone()) else {
        tracing::error!("a frame of the bus cannot be read");
        return;
    };
    if origin == core.others.origin {
        return;
    }
    match signal {
        Signal::Event(event) => hand_on(core, fanout, event),
        Signal::Opened(opened) => core.sessions.replace(&opened),
        Signal::ForcedOut(forced) => core.sessions.force_out(&forced),
        Signal::RoomLeft(left) => {
            if let Ok(room) = submit::named(&left.app, left.room.as_ref())
                && core.ownership.owns(room.slot())
                // Back already, and here.
                && !core.sessions.is_online(room.app(), &left.user)
            {
                // Nobody waits for the answer: a room that is gone meanwhile is left too.
                let _ = submit::enqueue(core, queues, room, None, Change::Expel { user: left.user });
            }
        }
        Signal::SlotsChanged(_) => core.look_at_slots.notify_one(),
    }
}

fn hand_on(core: &Core, fanout: &mut Fanout<'_>, event: GatewayEvent) {
    match event.event {
        Some(Event::Delivery(delivery)) => {
            if let Ok(app) = AppUuid::from_slice(&delivery.app) {
                let user = delivery.user.clone();
                fanout.to(app, &user, || delivery);
            }
        }
        Some(Event::ChannelDelivery(delivery)) => {
            if let Ok(channel) = submit::named(&delivery.app, delivery.queue.as_ref()) {
                fanout.reach_channel(&channel, || delivery);
            }
        }
        Some(Event::Membership(membership)) => {
            if let Ok(channel) = submit::named(&membership.app, membership.channel.as_ref()) {
                let user = &membership.user;
                if membership.joined && channel.is_room() && !core.sessions.is_online(channel.app(), user) {
                    // The session here has ended before its router had heard of the room.
                    core.departures.add(channel.app(), user, Some(vec![channel.clone()]), true);
                }
                fanout.note(&channel, &membership.user.clone(), || membership);
            }
        }
        Some(Event::Kick(_) | Event::Memberships(_) | Event::Recount(_)) | None => {}
    }
}
