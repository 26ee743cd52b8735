//! One user who is connected: the sessions, and the groups and rooms whose messages they get.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::channels::key::ChannelRef;
use crate::interest::Interests;
use crate::sessions::{Gateway, Session};

/// See the module.
#[derive(Default)]
pub(crate) struct Person {
    /// In the order in which they were opened.
    pub(crate) sessions: Vec<Session>,
    channels: Channels,
    /// What changed since the channels began to be read again; `None` while they are not.
    read_again: Option<HashMap<ChannelRef, bool>>,
    /// The gateways that know the channels, and count as interested in them.
    told: Vec<Arc<Gateway>>,
}

enum Channels {
    /// Are being read. What changed meanwhile is newer than what is read.
    Unknown(HashMap<ChannelRef, bool>),
    Known(HashSet<ChannelRef>),
}

impl Default for Channels {
    fn default() -> Self {
        Channels::Unknown(HashMap::new())
    }
}

impl Person {
    /// The channels, if they are known.
    pub(crate) fn channels(&self) -> Option<&HashSet<ChannelRef>> {
        match &self.channels {
            Channels::Unknown(_) => None,
            Channels::Known(channels) => Some(channels),
        }
    }

    /// The channels were read for a session at this gateway. Those that are known already are not replaced: every change
    /// since they were read is in them.
    pub(crate) fn know(
        &mut self,
        read: Vec<ChannelRef>,
        gateway: &Arc<Gateway>,
        interests: &Interests,
    ) -> &HashSet<ChannelRef> {
        if let Channels::Unknown(changes) = &mut self.channels {
            self.channels = Channels::Known(brought_up_to_date(read, std::mem::take(changes)));
        }
        let Channels::Known(channels) = &self.channels else { unreachable!("known from here on") };
        if !self.told.iter().any(|known| Arc::ptr_eq(known, gateway)) {
            self.told.push(gateway.clone());
            channels.iter().for_each(|channel| interests.add(channel, gateway));
        }
        channels
    }

    /// Changes may have been missed: the channels are about to be read again.
    pub(crate) fn begin_again(&mut self) {
        self.read_again = Some(HashMap::new());
    }

    /// They were. Answers whether the gateways knew something else; `None` when they are only now being read for the first
    /// time.
    pub(crate) fn know_again(&mut self, read: Vec<ChannelRef>, interests: &Interests) -> Option<bool> {
        let Channels::Known(known) = &mut self.channels else { return None };
        let fresh = brought_up_to_date(read, self.read_again.take()?);
        for gateway in &self.told {
            known.difference(&fresh).for_each(|channel| interests.remove(channel, gateway));
            fresh.difference(known).for_each(|channel| interests.add(channel, gateway));
        }
        let differs = *known != fresh;
        *known = fresh;
        Some(differs)
    }

    /// The gateways that know the channels.
    pub(crate) fn told(&self) -> &[Arc<Gateway>] {
        &self.told
    }

    /// The user joined or left a channel.
    pub(crate) fn change(&mut self, channel: &ChannelRef, joined: bool, interests: &Interests) {
        if let Some(changes) = &mut self.read_again {
            changes.insert(channel.clone(), joined);
        }
        let changed = match &mut self.channels {
            Channels::Unknown(changes) => {
                changes.insert(channel.clone(), joined);
                false
            }
            Channels::Known(channels) if joined => channels.insert(channel.clone()),
            Channels::Known(channels) => channels.remove(channel),
        };
        if changed {
            for gateway in &self.told {
                if joined {
                    interests.add(channel, gateway);
                } else {
                    interests.remove(channel, gateway);
                }
            }
        }
    }

    /// Sessions have gone: gateways without any do not count any more.
    pub(crate) fn settle(&mut self, interests: &Interests) {
        let sessions = &self.sessions;
        let is_here =
            |gateway: &Arc<Gateway>| sessions.iter().any(|session| Arc::ptr_eq(&session.gateway, gateway));
        for gone in self.told.extract_if(.., |gateway| !is_here(gateway)) {
            if let Channels::Known(channels) = &self.channels {
                channels.iter().for_each(|channel| interests.remove(channel, &gone));
            }
        }
    }

    /// The rooms that are left with the last session; `None` when they are not known.
    pub(crate) fn rooms(&self) -> Option<Vec<ChannelRef>> {
        let channels = self.channels()?;
        Some(channels.iter().filter(|channel| channel.is_room()).cloned().collect())
    }

    /// The gateways through which the user is connected, each once.
    pub(crate) fn gateways(&self) -> Vec<Arc<Gateway>> {
        let mut gateways: Vec<Arc<Gateway>> = Vec::new();
        for session in &self.sessions {
            if !gateways.iter().any(|known| Arc::ptr_eq(known, &session.gateway)) {
                gateways.push(session.gateway.clone());
            }
        }
        gateways
    }
}

/// What was read, with what changed since the reading began.
fn brought_up_to_date(read: Vec<ChannelRef>, changes: HashMap<ChannelRef, bool>) -> HashSet<ChannelRef> {
    let mut channels: HashSet<_> = read.into_iter().collect();
    for (channel, joined) in changes {
        if joined {
            channels.insert(channel);
        } else {
            channels.remove(&channel);
        }
    }
    channels
}
