//! Who is connected, and through which gateway.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::sync::Arc;

use bulkhead_api::DeliverySink;
use bulkhead_bus::{SlotSet, Topic};
use bulkhead_model::limits::DEVICES_PER_PLATFORM_MAX;
use bulkhead_model::{AppUuid, ErrorKind, Result};
use bulkhead_proto::router::{
    ForcedOut, GatewayEvent, Kick, KickReason, Memberships, OnlineDevice, OpenSessionRequest, Recount,
    SessionOpened, gateway_event::Event,
};
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use crate::channels::depart::Departures;
use crate::channels::key::ChannelRef;
use crate::interest::Interests;
use crate::person::Person;
use crate::registry::{Entered, Register, Registration, Seen};
use crate::topics::{Holding, Topics};

/// Parts of all sessions, each with a lock of its own.
pub(crate) const PARTS: usize = 64;

/// Sessions of one user; more are refused, whatever their platforms.
pub(crate) const SESSIONS_PER_USER_MAX: usize = 64;

/// An attached gateway.
pub(crate) struct Gateway {
    pub(crate) sink: Arc<dyn DeliverySink>,
}

/// A connected device.
pub(crate) struct Session {
    number: u64,
    pub(crate) gateway: Arc<Gateway>,
    device: String,
    platform: String,
    name: String,
    uuid: String,
    login_ext: String,
    opened_ms: u64,
    /// The bus brings what is for the user.
    _topic: Holding,
    /// The other routers see it in the registry.
    _registration: Registration,
}

type Part = HashMap<(AppUuid, String), Person>;

/// Every session of the region.
pub(crate) struct Sessions {
    gateways: RwLock<HashMap<String, Arc<Gateway>>>,
    hasher: RandomState,
    parts: Vec<Mutex<Part>>,
    interests: Interests,
    departures: Arc<Departures>,
    topics: Topics,
    register: Option<Arc<Register>>,
}

impl Sessions {
    /// `register` is the way to the registry; `None` in a region with one router.
    pub(crate) fn new(departures: Arc<Departures>, topics: Topics, register: Option<Arc<Register>>) -> Self {
        Self {
            gateways: RwLock::default(),
            hasher: RandomState::new(),
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
            interests: Interests::new(topics.clone()),
            departures,
            topics,
            register,
        }
    }

    /// Attaches a gateway; the sessions of one that had the same name are forgotten.
    pub(crate) fn attach(&self, name: &str, sink: Arc<dyn DeliverySink>) {
        let old = self.gateways.write().insert(name.to_owned(), Arc::new(Gateway { sink }));
        if let Some(old) = old {
            self.forget_gateway(&old);
        }
    }

    /// Forgets a gateway and its sessions.
    pub(crate) fn detach(&self, name: &str) {
        let gone = self.gateways.write().remove(name);
        if let Some(gone) = gone {
            self.forget_gateway(&gone);
        }
    }

    /// Forgets all gateways and tells them.
    pub(crate) fn detach_all(&self) {
        let gone = std::mem::take(&mut *self.gateways.write());
        for gateway in gone.into_values() {
            self.forget_gateway(&gateway);
            gateway.sink.detached();
        }
    }

    /// Registers a session. The sessions that it replaces or forces out are gone from here and are told.
    pub(crate) fn open(&self, app: AppUuid, request: &OpenSessionRequest, opened_ms: u64) -> Result<()> {
        let unattached = || ErrorKind::Unavailable.with("the gateway is not attached");
        // Held until the session is in, so that a gateway that detaches meanwhile cannot leave it behind.
        let gateways = self.gateways.read();
        let gateway = gateways.get(&request.gateway).ok_or_else(unattached)?.clone();
        let session = Session {
            number: request.session,
            gateway,
            device: request.device.clone(),
            platform: request.platform.clone(),
            name: request.device_name.clone(),
            uuid: request.device_uuid.clone(),
            login_ext: request.login_ext.clone(),
            opened_ms,
            _topic: self.topics.hold_user(app, &request.user),
            _registration: self.register.as_ref().map_or_else(Registration::none, |register| {
                Registration::of(register, app, &request.user, request.session)
            }),
        };
        let mut gone = Vec::new();
        let user = (app, request.user.clone());
        let mut part = self.part(&user).lock();
        let person = part.entry(user).or_default();
        let sessions = &mut person.sessions;
        // A page that was reloaded: the old session of the same device is over, which is no news to its user.
        while let Some(same) = sessions.iter().position(|session| session.device == request.device) {
            gone.push((sessions.remove(same), KickReason::Unspecified));
        }
        let of_platform = |session: &Session| session.platform == request.platform;
        while sessions.iter().filter(|session| of_platform(session)).count() >= DEVICES_PER_PLATFORM_MAX {
            let oldest = sessions.iter().position(of_platform).unwrap_or_default();
            gone.push((sessions.remove(oldest), KickReason::AnotherDevice));
        }
        // Under the lock, so that two logins cannot have their kicks arrive in the wrong order.
        for (session, reason) in gone {
            let detail = if reason == KickReason::AnotherDevice { request.login_ext.as_str() } else { "" };
            kick(app, &request.user, &session, reason, detail);
        }
        if sessions.len() >= SESSIONS_PER_USER_MAX {
            person.settle(&self.interests);
            return Err(ErrorKind::PlanLimitReached.with("too many sessions of one user"));
        }
        sessions.push(session);
        person.settle(&self.interests);
        if let Some(register) = &self.register {
            register.open(app, &request.user, request.session);
        }
        Ok(())
    }

    /// What the user of a session that has just opened is in was read: from now on its messages reach the session. The
    /// gateway is told under the lock, so that it hears of later changes later.
    pub(crate) fn know_channels(&self, app: AppUuid, user: &str, number: u64, channels: Vec<ChannelRef>) {
        let user = (app, user.to_owned());
        let mut part = self.part(&user).lock();
        let Some(person) = part.get_mut(&user) else { return };
        let Some(session) = person.sessions.iter().find(|session| session.number == number) else { return };
        let gateway = session.gateway.clone();
        let channels = person.know(channels, &gateway, &self.interests);
        if !channels.is_empty() {
            gateway.sink.deliver(vec![memberships(&user, channels)]);
        }
    }

    /// Users of whose memberships something may have been missed in these slots.
    pub(crate) fn users_of(&self, slots: &SlotSet) -> Vec<(AppUuid, String)> {
        let is_there = |user: &&(AppUuid, String)| slots.contains(Topic::user(user.0, &user.1).slot());
        let of_part =
            |part: &Mutex<Part>| -> Vec<_> { part.lock().keys().filter(is_there).cloned().collect() };
        self.parts.iter().flat_map(of_part).collect()
    }

    /// What a user is in is about to be read again.
    pub(crate) fn begin_again(&self, user: &(AppUuid, String)) {
        if let Some(person) = self.part(user).lock().get_mut(user) {
            person.begin_again();
        }
    }

    /// It was read: gateways that knew something else are told, and every session looks for what it missed. False when it has
    /// to be read once more.
    pub(crate) fn know_again(&self, user: &(AppUuid, String), channels: Vec<ChannelRef>) -> bool {
        let mut part = self.part(user).lock();
        let Some(person) = part.get_mut(user) else { return true };
        let Some(differs) = person.know_again(channels, &self.interests) else { return false };
        if differs && let Some(channels) = person.channels() {
            let told = person.told().iter();
            told.for_each(|gateway| gateway.sink.deliver(vec![memberships(user, channels)]));
        }
        person.gateways().iter().for_each(|gateway| gateway.sink.deliver(vec![recount(user)]));
        true
    }

    /// A user joined or left a group or room. Answers the gateways that are to be told.
    pub(crate) fn note_membership(
        &self,
        channel: &ChannelRef,
        user: &str,
        joined: bool,
    ) -> Vec<Arc<Gateway>> {
        let user = (channel.app(), user.to_owned());
        let mut part = self.part(&user).lock();
        let Some(person) = part.get_mut(&user) else { return Vec::new() };
        person.change(channel, joined, &self.interests);
        person.gateways()
    }

    /// The gateways that have a session of a member.
    pub(crate) fn gateways_of_channel(&self, channel: &ChannelRef) -> Vec<Arc<Gateway>> {
        self.interests.gateways_of(channel)
    }

    /// Whether a user who is connected is in a group or room.
    pub(crate) fn is_in(&self, channel: &ChannelRef, user: &str) -> bool {
        let user = (channel.app(), user.to_owned());
        let part = self.part(&user).lock();
        let channels = part.get(&user).and_then(Person::channels);
        channels.is_some_and(|channels| channels.contains(channel))
    }

    /// The groups and rooms of a user who is connected.
    pub(crate) fn channels_of(&self, app: AppUuid, user: &str) -> Option<Vec<ChannelRef>> {
        let user = (app, user.to_owned());
        let part = self.part(&user).lock();
        part.get(&user)?.channels().map(|channels| channels.iter().cloned().collect())
    }

    /// How many they are.
    pub(crate) fn channel_count(&self, app: AppUuid, user: &str) -> Option<usize> {
        let user = (app, user.to_owned());
        let part = self.part(&user).lock();
        part.get(&user)?.channels().map(HashSet::len)
    }

    /// Forgets one session, which went or was `lost`; answers whether it was there.
    pub(crate) fn close(&self, app: AppUuid, user: &str, number: u64, lost: bool) -> bool {
        self.take(app, user, lost, |session| session.number == number).len() == 1
    }

    /// Ends the sessions of a user on one device, or on all when `device` is empty. Answers how many.
    pub(crate) fn disconnect(&self, app: AppUuid, user: &str, device: &str, reason: KickReason) -> usize {
        let gone = self.take(app, user, false, |session| device.is_empty() || session.device == device);
        gone.iter().for_each(|session| kick(app, user, session, reason, ""));
        gone.len()
    }

    /// Returns when the bus brings everything that those who are here are to get.
    pub(crate) async fn listening(&self) {
        self.topics.settled().await;
    }

    /// A device has a newer session at another router.
    pub(crate) fn replace(&self, opened: &SessionOpened) {
        let Ok(app) = AppUuid::from_slice(&opened.app) else { return };
        let newer = (opened.opened_ms, opened.session);
        // As if it was lost: the newer session may not be in the registry yet.
        let gone = self.take(app, &opened.user, true, |session| {
            session.device == opened.device && (session.opened_ms, session.number) < newer
        });
        gone.iter().for_each(|session| kick(app, &opened.user, session, KickReason::Unspecified, ""));
    }

    /// Sessions of this router give way to newer ones elsewhere.
    pub(crate) fn force_out(&self, forced: &ForcedOut) {
        let Ok(app) = AppUuid::from_slice(&forced.app) else { return };
        for out in &forced.sessions {
            let gone = self.take(app, &forced.user, true, |session| {
                session.number == out.session && session.device == out.device
            });
            gone.iter().for_each(|session| kick(app, &forced.user, session, out.reason(), &out.detail));
        }
    }

    /// One session as the registry is to have it; `None` when it is over.
    pub(crate) fn entered(&self, app: AppUuid, user: &str, number: u64) -> Option<Entered> {
        let user = (app, user.to_owned());
        let part = self.part(&user).lock();
        let session = part.get(&user)?.sessions.iter().find(|session| session.number == number)?;
        Some(session.entered(&user))
    }

    /// All sessions of a part (below [`PARTS`]) whose users are in these slots, as the registry is to have them.
    pub(crate) fn all_entered(&self, part: usize, slots: &SlotSet) -> Vec<Entered> {
        let part = self.parts[part].lock();
        let people = part.iter().filter(|((app, user), _)| slots.contains(Topic::user(*app, user).slot()));
        people.flat_map(|(user, person)| person.sessions.iter().map(|one| one.entered(user))).collect()
    }

    /// The sessions of a user here.
    pub(crate) fn seen(&self, app: AppUuid, user: &str) -> Vec<Seen> {
        let user = (app, user.to_owned());
        let part = self.part(&user).lock();
        let sessions = part.get(&user).map(|person| person.sessions.as_slice()).unwrap_or_default();
        let seen = |session: &Session| Seen {
            session: session.number,
            device: session.device.clone(),
            platform: session.platform.clone(),
            opened_ms: session.opened_ms,
            fresh: false,
            login_ext: session.login_ext.clone(),
        };
        sessions.iter().map(seen).collect()
    }

    /// Names everybody who may have missed messages of groups and rooms in these slots. Those whose own topic is in them are
    /// told when their memberships were [read again](Self::know_again).
    pub(crate) fn recount(&self, slots: &SlotSet, mut tell: impl FnMut(Arc<Gateway>, GatewayEvent)) {
        for part in &self.parts {
            for (user, person) in &*part.lock() {
                let mut of_many = person.channels().into_iter().flatten().map(ChannelRef::slot);
                let is_read_again = slots.contains(Topic::user(user.0, &user.1).slot());
                if !is_read_again && of_many.any(|slot| slots.contains(slot)) {
                    person.gateways().into_iter().for_each(|gateway| tell(gateway, recount(user)));
                }
            }
        }
    }

    pub(crate) fn is_online(&self, app: AppUuid, user: &str) -> bool {
        let user = (app, user.to_owned());
        self.part(&user).lock().contains_key(&user)
    }

    pub(crate) fn devices(&self, app: AppUuid, user: &str) -> Vec<OnlineDevice> {
        let user = (app, user.to_owned());
        let part = self.part(&user).lock();
        let sessions = part.get(&user).map(|person| person.sessions.as_slice()).unwrap_or_default();
        let device = |session: &Session| OnlineDevice {
            device: session.device.clone(),
            device_uuid: session.uuid.clone(),
            device_name: session.name.clone(),
            platform: session.platform.clone(),
        };
        sessions.iter().map(device).collect()
    }

    /// The gateways through which a user is connected, each once.
    pub(crate) fn gateways_of(&self, app: AppUuid, user: &str) -> Vec<Arc<Gateway>> {
        let user = (app, user.to_owned());
        let part = self.part(&user).lock();
        part.get(&user).map(Person::gateways).unwrap_or_default()
    }

    fn part(&self, user: &(AppUuid, String)) -> &Mutex<Part> {
        &self.parts[self.hasher.hash_one(user) as usize % PARTS]
    }

    fn take(&self, app: AppUuid, user: &str, lost: bool, gone: impl Fn(&Session) -> bool) -> Vec<Session> {
        let user = (app, user.to_owned());
        let mut part = self.part(&user).lock();
        let Some(person) = part.get_mut(&user) else { return Vec::new() };
        let taken = person.sessions.extract_if(.., |session| gone(session)).collect();
        if !self.stays(&user, person, lost) {
            part.remove(&user);
        }
        taken
    }

    fn forget_gateway(&self, gone: &Arc<Gateway>) {
        for part in &self.parts {
            part.lock().retain(|user, person| {
                person.sessions.retain(|session| !Arc::ptr_eq(&session.gateway, gone));
                self.stays(user, person, true)
            });
        }
    }

    /// Whether a user of whom sessions have gone is still connected. One who is not leaves rooms.
    fn stays(&self, (app, user): &(AppUuid, String), person: &mut Person, lost: bool) -> bool {
        person.settle(&self.interests);
        if !person.sessions.is_empty() {
            return true;
        }
        let rooms = person.rooms();
        if rooms.as_ref().is_none_or(|rooms| !rooms.is_empty()) {
            self.departures.add(*app, user, rooms, lost);
        }
        false
    }
}

impl Session {
    fn entered(&self, (app, user): &(AppUuid, String)) -> Entered {
        Entered {
            app: *app,
            user: user.clone(),
            session: self.number,
            device: self.device.clone(),
            platform: self.platform.clone(),
            opened_ms: self.opened_ms,
        }
    }
}

fn memberships((app, user): &(AppUuid, String), channels: &HashSet<ChannelRef>) -> GatewayEvent {
    let memberships = Memberships {
        app: Bytes::copy_from_slice(&app.0),
        channels: channels.iter().map(ChannelRef::queue).collect(),
        user: user.clone(),
    };
    GatewayEvent { event: Some(Event::Memberships(memberships)) }
}

fn recount((app, user): &(AppUuid, String)) -> GatewayEvent {
    let recount = Recount { app: Bytes::copy_from_slice(&app.0), user: user.clone() };
    GatewayEvent { event: Some(Event::Recount(recount)) }
}

fn kick(app: AppUuid, user: &str, session: &Session, reason: KickReason, detail: &str) {
    let kick = Kick {
        app: Bytes::copy_from_slice(&app.0),
        user: user.to_owned(),
        session: session.number,
        device: session.device.clone(),
        reason: reason.into(),
        detail: detail.to_owned(),
    };
    metrics::counter!("bulkhead_router_kicks_total").increment(1);
    session.gateway.sink.deliver(vec![GatewayEvent { event: Some(Event::Kick(kick)) }]);
}
