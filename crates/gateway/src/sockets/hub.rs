use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bulkhead_proto::records::MessageKind;
use bulkhead_proto::router::gateway_event::Event as RouterEvent;
use bulkhead_proto::router::{
    ChannelDelivery, Delivery, GatewayEvent, Kick, Membership, Memberships, OpenSessionRequest,
    PublishRequest, Queue, QueueKind, Recount, SessionRequest,
};
use parking_lot::RwLock;

use super::channels::{ChannelKey, Channels, channel_key};
use super::outbox::Outbox;
use super::person::Person;
use super::translate;

/// Parts of the hub, each with its own lock: logins in one do not hold up deliveries in another.
const PARTS: usize = 64;

/// Kinds of message that say what they are for.
const CHAT_KINDS: [MessageKind; 4] =
    [MessageKind::Normal, MessageKind::Chat, MessageKind::Groupchat, MessageKind::Chatroom];

/// App identity and username, one behind the other: found by what stands in a request without building a key.
type UserKey = Box<[u8]>;
type Part = HashMap<UserKey, Person>;

/// The sessions of this gateway, by their user and by the groups and rooms that their users are in.
pub(crate) struct Hub {
    parts: Vec<RwLock<Part>>,
    channels: Channels,
    hasher: RandomState,
    outbox_bytes_max: usize,
}

/// What the hub holds of a session.
pub(super) struct SessionHandle {
    /// How it was opened at the router, so that it can be opened at another.
    pub(super) opening: OpenSessionRequest,
    /// By what its user was let in, as the auth service has it checked again.
    pub(super) grant: Box<[u8]>,
    pub(super) outbox: Outbox,
    ended: AtomicBool,
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
            channels: Channels::new(),
            hasher: RandomState::new(),
            outbox_bytes_max,
        }
    }

    /// Makes a session known. Must come before the router is told of it, so that no delivery is missed.
    pub(super) fn register(self: &Arc<Self>, opening: OpenSessionRequest, grant: &[u8]) -> Registration {
        let outbox = Outbox::new(self.outbox_bytes_max);
        let key: UserKey = key_of(&opening.app, &opening.user).into();
        let handle =
            Arc::new(SessionHandle { opening, grant: grant.into(), outbox, ended: AtomicBool::new(false) });
        self.part(&key).write().entry(key.clone()).or_default().add(Arc::clone(&handle));
        Registration { hub: Arc::clone(self), key, handle }
    }

    /// All sessions that there are now.
    pub(super) fn sessions(&self) -> Vec<Arc<SessionHandle>> {
        let of_part = |part: &RwLock<Part>| -> Vec<_> {
            part.read().values().flat_map(Person::sessions).cloned().collect()
        };
        self.parts.iter().flat_map(of_part).collect()
    }

    /// Those of one user.
    pub(super) fn sessions_of(&self, app: &[u8], user: &str) -> Vec<Arc<SessionHandle>> {
        let key = key_of(app, user);
        let part = self.part(&key).read();
        part.get(key.as_slice()).into_iter().flat_map(Person::sessions).cloned().collect()
    }

    /// Hands out what the router has. Never blocks on a socket.
    pub(crate) fn deliver(&self, events: Vec<GatewayEvent>) {
        for event in events {
            match event.event {
                Some(RouterEvent::Delivery(delivery)) => self.deliver_one(delivery),
                Some(RouterEvent::Kick(kick)) => self.kick(&kick),
                Some(RouterEvent::ChannelDelivery(delivery)) => self.deliver_to_channel(delivery),
                Some(RouterEvent::Membership(membership)) => self.note(membership),
                Some(RouterEvent::Memberships(all)) => self.note_all(all),
                Some(RouterEvent::Recount(recount)) => self.recount(&recount),
                None => {}
            }
        }
    }

    /// Names a room as what it is. A receipt, a recall or an edit says that it is for many, but not for which kind of them,
    /// and the kind decides which router it is for.
    pub(crate) fn tell_room(&self, request: &mut PublishRequest) {
        let kind = MessageKind::try_from(request.kind);
        if kind.is_ok_and(|kind| CHAT_KINDS.contains(&kind)) {
            return;
        }
        let Some(to) = request.to.as_mut().filter(|to| to.kind() == QueueKind::Group) else { return };
        let room = Queue { name: to.name.clone(), kind: QueueKind::Room.into() };
        let Some(room_key) = channel_key(&request.app, Some(&room)) else { return };
        let key = key_of(&request.app, &request.from_user);
        let part = self.part(&key).read();
        if part.get(key.as_slice()).is_some_and(|person| person.is_in(&room_key)) {
            *to = room;
        }
    }

    fn deliver_one(&self, delivery: Delivery) {
        let key = key_of(&delivery.app, &delivery.user);
        let part = self.part(&key).read();
        let Some(person) = part.get(key.as_slice()) else { return };
        let devices = person.sessions().map(|session| session.device());
        let Some(delivery) = translate::delivery(delivery, devices).map(Arc::new) else { return };
        for session in person.sessions() {
            let is_for_device = delivery.is_for(session.user(), session.device());
            session.outbox.deliver(Arc::clone(&delivery), is_for_device);
        }
    }

    /// One frame for all sessions whose users are members, however many they are.
    fn deliver_to_channel(&self, delivery: ChannelDelivery) {
        let Some(key) = channel_key(&delivery.app, delivery.queue.as_ref()) else { return };
        self.channels.with(&key, |sessions| {
            let devices = sessions.iter().map(|session| (session.user(), session.device()));
            let Some(delivery) = translate::channel_delivery(delivery, devices).map(Arc::new) else { return };
            for session in sessions {
                let is_for_device = delivery.is_for(session.user(), session.device());
                session.outbox.deliver(Arc::clone(&delivery), is_for_device);
            }
        });
    }

    fn note(&self, membership: Membership) {
        let Some(channel) = channel_key(&membership.app, membership.channel.as_ref()) else { return };
        let key = key_of(&membership.app, &membership.user);
        if let Some(person) = self.part(&key).write().get_mut(key.as_slice()) {
            if membership.joined {
                person.join(channel, &self.channels);
            } else {
                person.leave(&channel, &self.channels);
            }
        }
    }

    fn note_all(&self, all: Memberships) {
        let channels: Vec<ChannelKey> =
            all.channels.iter().filter_map(|channel| channel_key(&all.app, Some(channel))).collect();
        let key = key_of(&all.app, &all.user);
        if let Some(person) = self.part(&key).write().get_mut(key.as_slice()) {
            person.set(channels, &self.channels);
        }
    }

    fn recount(&self, recount: &Recount) {
        let key = key_of(&recount.app, &recount.user);
        let part = self.part(&key).read();
        let Some(person) = part.get(key.as_slice()) else { return };
        for session in person.sessions() {
            session.outbox.lose();
        }
    }

    fn kick(&self, kick: &Kick) {
        let key = key_of(&kick.app, &kick.user);
        let part = self.part(&key).read();
        let Some(person) = part.get(key.as_slice()) else { return };
        for session in person.sessions() {
            let is_meant = (kick.session == 0 || kick.session == session.opening.session)
                && (kick.device.is_empty() || kick.device == session.device());
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

impl SessionHandle {
    pub(super) fn user(&self) -> &str {
        &self.opening.user
    }

    pub(super) fn device(&self) -> &str {
        &self.opening.device
    }

    /// How the router's calls name this session.
    pub(super) fn session(&self) -> SessionRequest {
        SessionRequest {
            app: self.opening.app.clone(),
            user: self.opening.user.clone(),
            device: self.opening.device.clone(),
            session: self.opening.session,
        }
    }

    /// The session is closed at the router from now on; whoever opens it again has to close it.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }
}

impl Registration {
    pub(super) fn handle(&self) -> &SessionHandle {
        &self.handle
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut part = self.hub.part(&self.key).write();
        if let Some(person) = part.get_mut(&self.key) {
            person.remove(&self.handle, &self.hub.channels);
            if person.is_gone() {
                part.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use bulkhead_proto::router::KickReason;
    use bytes::Bytes;

    use super::super::outbox::Event;
    use super::*;

    const APP: [u8; 16] = [1; 16];

    fn register(hub: &Arc<Hub>, user: &str, device: &str, session: u64) -> Registration {
        let (app, user, device) = (Bytes::copy_from_slice(&APP), user.into(), device.into());
        hub.register(OpenSessionRequest { app, user, device, session, ..OpenSessionRequest::default() }, &[])
    }

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
        let sessions = sessions.map(|(user, device)| register(&hub, user, device, 1));
        let elsewhere = hub.register(
            OpenSessionRequest {
                app: Bytes::copy_from_slice(&[2; 16]),
                user: "alice".into(),
                device: "a".into(),
                ..OpenSessionRequest::default()
            },
            &[],
        );
        hub.deliver(vec![delivery("alice"), delivery("alice"), delivery("nobody")]);
        assert_eq!(sessions.each_ref().map(waiting), [2, 2, 0]);
        assert_eq!(waiting(&elsewhere), 0);
    }

    #[test]
    fn a_message_that_no_device_here_gets_is_not_encoded() {
        let hub = Arc::new(Hub::new(1000));
        let sender = register(&hub, "alice", "a", 1);
        let delivered = |except: &str| {
            let mut event = delivery("alice");
            if let Some(RouterEvent::Delivery(delivery)) = &mut event.event {
                delivery.except_device = except.into();
            }
            hub.deliver(vec![event]);
            let mut waiting = sender.handle().outbox.take(&Context::from_waker(Waker::noop()));
            match waiting.events.drain(..).next() {
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
        let sessions = sessions.map(|(device, number)| register(&hub, "alice", device, number));
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
    fn who_may_have_missed_something_is_told_on_every_device() {
        let hub = Arc::new(Hub::new(1000));
        let sessions = [("alice", "a"), ("alice", "b"), ("bob", "a")];
        let sessions = sessions.map(|(user, device)| register(&hub, user, device, 1));
        let recount = Recount { app: Bytes::copy_from_slice(&APP), user: "alice".into() };
        hub.deliver(vec![GatewayEvent { event: Some(RouterEvent::Recount(recount)) }]);
        let lost = |session: &Registration| {
            session.handle().outbox.take(&Context::from_waker(Waker::noop())).overflowed
        };
        assert_eq!(sessions.each_ref().map(lost), [true, true, false]);
    }

    #[test]
    fn a_receipt_for_a_room_says_so_if_its_sender_is_in_it() {
        let hub = Arc::new(Hub::new(1000));
        let _session = register(&hub, "alice", "a", 1);
        let room = |id: &str| Some(Queue { name: id.into(), kind: QueueKind::Room.into() });
        let joined = Membership {
            app: Bytes::copy_from_slice(&APP),
            user: "alice".into(),
            channel: room("1"),
            joined: true,
        };
        hub.deliver(vec![GatewayEvent { event: Some(RouterEvent::Membership(joined)) }]);
        let told = |kind: MessageKind, user: &str, id: &str| {
            let mut request = PublishRequest {
                app: Bytes::copy_from_slice(&APP),
                from_user: user.into(),
                to: group(id),
                kind: kind.into(),
                ..PublishRequest::default()
            };
            hub.tell_room(&mut request);
            request.to
        };
        assert_eq!(told(MessageKind::Recall, "alice", "1"), room("1"));
        assert_eq!(told(MessageKind::Groupchat, "alice", "1"), group("1"));
        assert_eq!(told(MessageKind::Recall, "alice", "2"), group("2"));
        assert_eq!(told(MessageKind::Recall, "bob", "1"), group("1"));
    }

    #[test]
    fn nothing_is_left_of_sessions_that_are_gone() {
        let hub = Arc::new(Hub::new(1000));
        let sessions = ["a", "b"].map(|device| register(&hub, "alice", device, 1));
        hub.deliver(vec![memberships("alice", &["1", "2"])]);
        drop(sessions);
        assert!(hub.parts.iter().all(|part| part.read().is_empty()));
        assert!(hub.channels.is_empty());
    }

    fn group(id: &str) -> Option<Queue> {
        Some(Queue { name: id.into(), kind: 1 })
    }

    fn to_group(id: &str, except_user: &str, except_device: &str, only_users: &[&str]) -> GatewayEvent {
        let delivery = ChannelDelivery {
            app: Bytes::copy_from_slice(&APP),
            queue: group(id),
            id: 1,
            except_user: except_user.into(),
            except_device: except_device.into(),
            only_users: only_users.iter().map(|user| (*user).into()).collect(),
            ..ChannelDelivery::default()
        };
        GatewayEvent { event: Some(RouterEvent::ChannelDelivery(delivery)) }
    }

    fn membership(user: &str, id: &str, joined: bool) -> GatewayEvent {
        let app = Bytes::copy_from_slice(&APP);
        let membership = Membership { app, user: user.into(), channel: group(id), joined };
        GatewayEvent { event: Some(RouterEvent::Membership(membership)) }
    }

    fn memberships(user: &str, ids: &[&str]) -> GatewayEvent {
        let app = Bytes::copy_from_slice(&APP);
        let channels = ids.iter().filter_map(|id| group(id)).collect();
        let all = Memberships { app, user: user.into(), channels };
        GatewayEvent { event: Some(RouterEvent::Memberships(all)) }
    }

    /// Who of these gets a message with its bytes, and who only learns its id.
    fn received(sessions: &[&Registration]) -> Vec<(usize, usize)> {
        let received = |session: &&Registration| {
            let handle = session.handle();
            let waiting = handle.outbox.take(&Context::from_waker(Waker::noop()));
            let is_mine = |event: &&Event| matches!(event, Event::Delivery(delivery) if delivery.is_for(handle.user(), handle.device()));
            (waiting.events.len(), waiting.events.iter().filter(is_mine).count())
        };
        sessions.iter().map(received).collect()
    }

    #[test]
    fn a_group_s_message_reaches_the_sessions_of_its_members_with_one_frame() {
        let hub = Arc::new(Hub::new(1000));
        let alice = register(&hub, "alice", "same", 1);
        let bob = register(&hub, "bob", "same", 2);
        let carol = register(&hub, "carol", "same", 3);
        hub.deliver(vec![
            membership("alice", "1", true),
            membership("bob", "1", true),
            membership("carol", "2", true),
            to_group("1", "", "", &[]),
            to_group("1", "alice", "same", &[]),
            to_group("1", "alice", "", &[]),
            to_group("1", "alice", "other", &[]),
            to_group("1", "", "", &["bob", "carol"]),
            to_group("3", "", "", &[]),
        ]);
        assert_eq!(received(&[&alice, &bob, &carol]), [(5, 2), (5, 5), (0, 0)]);
        hub.deliver(vec![to_group("1", "", "", &[])]);
        let frame = |session: &Registration| {
            let mut waiting = session.handle().outbox.take(&Context::from_waker(Waker::noop()));
            match waiting.events.drain(..).next() {
                Some(Event::Delivery(delivery)) => delivery,
                _ => panic!("not delivered"),
            }
        };
        assert!(Arc::ptr_eq(&frame(&alice), &frame(&bob)));
    }

    #[test]
    fn sessions_come_and_go_with_their_users_memberships() {
        let hub = Arc::new(Hub::new(1000));
        let first = register(&hub, "alice", "a", 1);
        let tell = || {
            hub.deliver(vec![to_group("1", "", "", &[]), to_group("2", "", "", &[])]);
        };
        hub.deliver(vec![membership("alice", "1", true), membership("alice", "1", true)]);
        tell();
        assert_eq!(received(&[&first]), [(1, 1)]);
        let second = register(&hub, "alice", "b", 2);
        tell();
        assert_eq!(received(&[&first, &second]), [(1, 1), (0, 0)], "not known to be a member yet");
        hub.deliver(vec![memberships("alice", &["1", "2"]), memberships("alice", &["1", "2"])]);
        tell();
        assert_eq!(received(&[&first, &second]), [(2, 2), (2, 2)]);
        hub.deliver(vec![membership("alice", "1", false), membership("alice", "9", false)]);
        drop(second);
        tell();
        assert_eq!(received(&[&first]), [(1, 1)]);
        hub.deliver(vec![memberships("alice", &[]), membership("nobody", "1", true)]);
        tell();
        assert_eq!(received(&[&first]), [(0, 0)]);
        assert!(hub.channels.is_empty());
    }
}
