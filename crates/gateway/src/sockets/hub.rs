use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;

use bulkhead_proto::router::gateway_event::Event as RouterEvent;
use bulkhead_proto::router::{Delivery, GatewayEvent, Kick};
use parking_lot::RwLock;

use super::outbox::Outbox;
use super::translate;

/// Parts of the hub, each with its own lock: logins in one do not hold up deliveries in another.
const PARTS: usize = 64;

/// App identity and username, one behind the other: found by what stands in a request without building a key.
type UserKey = Box<[u8]>;
type Part = HashMap<UserKey, Vec<Arc<SessionHandle>>>;

/// The sessions of this gateway, by their user.
pub(crate) struct Hub {
    parts: Vec<RwLock<Part>>,
    hasher: RandomState,
    outbox_bytes_max: usize,
}

/// What the hub holds of a session.
pub(super) struct SessionHandle {
    /// The number that the router knows it by.
    pub(super) number: u64,
    pub(super) device: Box<str>,
    pub(super) outbox: Outbox,
}

/// A session's place in the hub; given up when dropped.
pub(super) struct Registration {
    hub: Arc<Hub>,
    key: UserKey,
    handle: Arc<SessionHandle>,
}

impl Hub {
    pub(crate) fn new(outbox_bytes_max: usize) -> Self {
        Self {
            parts: (0..PARTS).map(|_| RwLock::default()).collect(),
            hasher: RandomState::new(),
            outbox_bytes_max,
        }
    }

    /// Makes a session known. Must come before the router is told of it, so that no delivery is missed.
    pub(super) fn register(
        self: &Arc<Self>,
        app: &[u8],
        user: &str,
        device: &str,
        number: u64,
    ) -> Registration {
        let outbox = Outbox::new(self.outbox_bytes_max);
        let handle = Arc::new(SessionHandle { number, device: device.into(), outbox });
        let key: UserKey = key_of(app, user).into();
        self.part(&key).write().entry(key.clone()).or_default().push(Arc::clone(&handle));
        Registration { hub: Arc::clone(self), key, handle }
    }

    /// Hands out what the router has. Never blocks on a socket.
    pub(crate) fn deliver(&self, events: Vec<GatewayEvent>) {
        for event in events {
            match event.event {
                Some(RouterEvent::Delivery(delivery)) => self.deliver_one(delivery),
                Some(RouterEvent::Kick(kick)) => self.kick(&kick),
                // Of groups and rooms, which no router has yet.
                Some(
                    RouterEvent::ChannelDelivery(_) | RouterEvent::Membership(_) | RouterEvent::Memberships(_),
                )
                | None => {}
            }
        }
    }

    fn deliver_one(&self, delivery: Delivery) {
        let key = key_of(&delivery.app, &delivery.user);
        let part = self.part(&key).read();
        let Some(sessions) = part.get(key.as_slice()) else { return };
        let devices = sessions.iter().map(|session| &*session.device);
        let Some(delivery) = translate::delivery(delivery, devices).map(Arc::new) else { return };
        for session in sessions {
            session.outbox.deliver(Arc::clone(&delivery), delivery.is_for(&session.device));
        }
    }

    fn kick(&self, kick: &Kick) {
        let key = key_of(&kick.app, &kick.user);
        let part = self.part(&key).read();
        let Some(sessions) = part.get(key.as_slice()) else { return };
        for session in sessions {
            let is_meant = (kick.session == 0 || kick.session == session.number)
                && (kick.device.is_empty() || *kick.device == *session.device);
            if is_meant {
                session.outbox.kick(translate::operation(kick.reason()), &kick.detail);
            }
        }
    }

    fn part(&self, key: &[u8]) -> &RwLock<Part> {
        &self.parts[self.hasher.hash_one(key) as usize % PARTS]
    }
}

fn key_of(app: &[u8], user: &str) -> Vec<u8> {
    [app, user.as_bytes()].concat()
}

impl Registration {
    pub(super) fn handle(&self) -> &SessionHandle {
        &self.handle
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut part = self.hub.part(&self.key).write();
        if let Some(sessions) = part.get_mut(&self.key) {
            sessions.retain(|session| !Arc::ptr_eq(session, &self.handle));
            if sessions.is_empty() {
                part.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use bulkhead_proto::router::{KickReason, Queue};
    use bytes::Bytes;

    use super::super::outbox::Event;
    use super::*;

    const APP: [u8; 16] = [1; 16];

    fn delivery(user: &str) -> GatewayEvent {
        let queue = Queue { name: "bob".into(), kind: 0 };
        let delivery = Delivery {
            app: Bytes::copy_from_slice(&APP),
            user: user.into(),
            queue: Some(queue),
            id: 1,
            ..Delivery::default()
        };
        GatewayEvent { event: Some(RouterEvent::Delivery(delivery)) }
    }

    fn kick(user: &str, session: u64, device: &str) -> GatewayEvent {
        let kick = Kick {
            app: Bytes::copy_from_slice(&APP),
            user: user.into(),
            session,
            device: device.into(),
            reason: KickReason::UserRemoved.into(),
            detail: String::new(),
        };
        GatewayEvent { event: Some(RouterEvent::Kick(kick)) }
    }

    fn waiting(session: &Registration) -> usize {
        session.handle().outbox.take(&Context::from_waker(Waker::noop())).events.len()
    }

    #[test]
    fn a_delivery_reaches_all_sessions_of_its_user_and_no_other() {
        let hub = Arc::new(Hub::new(1000));
        let sessions = [("alice", "a"), ("alice", "b"), ("bob", "a")];
        let sessions = sessions.map(|(user, device)| hub.register(&APP, user, device, 1));
        let elsewhere = hub.register(&[2; 16], "alice", "a", 1);
        hub.deliver(vec![delivery("alice"), delivery("alice"), delivery("nobody")]);
        assert_eq!(sessions.each_ref().map(waiting), [2, 2, 0]);
        assert_eq!(waiting(&elsewhere), 0);
    }

    #[test]
    fn a_message_that_no_device_here_gets_is_not_encoded() {
        let hub = Arc::new(Hub::new(1000));
        let sender = hub.register(&APP, "alice", "a", 1);
        let delivered = |except: &str| {
            let mut event = delivery("alice");
            if let Some(RouterEvent::Delivery(delivery)) = &mut event.event {
                delivery.except_device = except.into();
            }
            hub.deliver(vec![event]);
            let mut waiting = sender.handle().outbox.take(&Context::from_waker(Waker::noop()));
            match waiting.events.pop_front() {
                Some(Event::Delivery(delivery)) => delivery,
                _ => panic!("not delivered"),
            }
        };
        assert!(delivered("a").frame.is_empty());
        assert!(!delivered("b").frame.is_empty());
    }

    #[test]
    fn a_kick_reaches_the_session_or_device_that_it_names() {
        let hub = Arc::new(Hub::new(1000));
        let sessions = [("a", 1), ("a", 2), ("b", 3)];
        let sessions = sessions.map(|(device, number)| hub.register(&APP, "alice", device, number));
        for (event, expected) in [
            (kick("alice", 2, ""), [0, 1, 0]),
            (kick("alice", 0, "a"), [1, 1, 0]),
            (kick("alice", 0, ""), [1, 1, 1]),
            (kick("bob", 0, ""), [0, 0, 0]),
        ] {
            hub.deliver(vec![event]);
            assert_eq!(sessions.each_ref().map(waiting), expected);
        }
    }

    #[test]
    fn nothing_is_left_of_sessions_that_are_gone() {
        let hub = Arc::new(Hub::new(1000));
        let sessions = ["a", "b"].map(|device| hub.register(&APP, "alice", device, 1));
        drop(sessions);
        assert!(hub.parts.iter().all(|part| part.read().is_empty()));
    }
}
