//! The sessions of one user on this gateway, and the groups and rooms whose messages they get.

use std::collections::HashSet;
use std::sync::Arc;

use super::channels::{ChannelKey, Channels};
use super::hub::SessionHandle;

/// See the module.
#[derive(Default)]
pub(super) struct Person {
    sessions: Vec<Place>,
    /// Where every session is that has its place.
    channels: HashSet<ChannelKey>,
}

struct Place {
    session: Arc<SessionHandle>,
    /// It is in all of the user's channels. A session is not before the router has said which those are: until then
    /// the router does not know what it lacks.
    placed: bool,
}

impl Person {
    pub(super) fn sessions(&self) -> impl Iterator<Item = &Arc<SessionHandle>> {
        self.sessions.iter().map(|place| &place.session)
    }

    pub(super) fn is_gone(&self) -> bool {
        self.sessions.is_empty()
    }

    pub(super) fn is_in(&self, key: &[u8]) -> bool {
        self.channels.contains(key)
    }

    pub(super) fn add(&mut self, session: Arc<SessionHandle>) {
        self.sessions.push(Place { session, placed: false });
    }

    pub(super) fn remove(&mut self, session: &Arc<SessionHandle>, channels: &Channels) {
        let Some(at) = self.sessions.iter().position(|place| Arc::ptr_eq(&place.session, session)) else {
            return;
        };
        let place = self.sessions.remove(at);
        if place.placed {
            self.channels.iter().for_each(|key| channels.remove(key, &place.session));
        }
    }

    /// The user joined a channel.
    pub(super) fn join(&mut self, key: ChannelKey, channels: &Channels) {
        if self.channels.insert(Arc::clone(&key)) {
            self.placed().for_each(|session| channels.add(&key, session));
        }
        self.place_others(channels);
    }

    /// The user left a channel.
    pub(super) fn leave(&mut self, key: &ChannelKey, channels: &Channels) {
        if self.channels.remove(key) {
            self.placed().for_each(|session| channels.remove(key, session));
        }
    }

    /// These are all channels of the user.
    pub(super) fn set(&mut self, all: Vec<ChannelKey>, channels: &Channels) {
        let all: HashSet<ChannelKey> = all.into_iter().collect();
        let left: Vec<ChannelKey> = self.channels.difference(&all).cloned().collect();
        left.iter().for_each(|key| self.leave(key, channels));
        all.into_iter().for_each(|key| self.join(key, channels));
        self.place_others(channels);
    }

    fn placed(&self) -> impl Iterator<Item = &Arc<SessionHandle>> {
        self.sessions.iter().filter(|place| place.placed).map(|place| &place.session)
    }

    fn place_others(&mut self, channels: &Channels) {
        for place in self.sessions.iter_mut().filter(|place| !place.placed) {
            self.channels.iter().for_each(|key| channels.add(key, &place.session));
            place.placed = true;
        }
    }
}
