use std::fmt;
use std::hash::{Hash, Hasher};

use bulkhead_model::{AppUuid, Channel, slot_of};
use bytes::Bytes;

/// Bytes of the app's identity at the start of a topic's name.
const APP_BYTES: usize = 16;

/// What opens the key of a user's topic; no channel key starts with it.
const USER_PREFIX: &str = "u:";

/// What frames are published to: a user or a channel of an app. Cheap to clone.
///
/// Its name is the 16 bytes of the app's identity and a key: `u:alice`, or the channel's own key such as `g:1`.
#[derive(Clone)]
pub struct Topic {
    slot: u16,
    name: Bytes,
}

/// The two kinds of topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TopicKind {
    User,
    Channel,
}

/// What a topic names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicParts<'a> {
    pub app: AppUuid,
    pub kind: TopicKind,
    /// The username, or the channel's key ([`Channel::key`]).
    pub key: &'a str,
}

impl Topic {
    /// The topic of a user: direct messages to and from the user, and what else is the user's alone.
    pub fn user(app: AppUuid, username: &str) -> Self {
        Self::of_key(app, &format!("{USER_PREFIX}{username}"))
    }

    /// The topic of a channel; it has the channel's slot.
    pub fn channel(app: AppUuid, channel: &Channel) -> Self {
        Self::of_key(app, &channel.key())
    }

    /// A topic whose name says nothing, placed in a slot (below [`bulkhead_model::SLOT_COUNT`]).
    pub fn opaque(slot: u16, name: Bytes) -> Self {
        Self { slot, name }
    }

    /// Reads [`Topic::name`] back; `None` when it is not the name of a user or channel.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        let topic = Self::opaque(0, Bytes::copy_from_slice(name));
        let parts = topic.parts()?;
        Some(match parts.kind {
            TopicKind::User => Self::user(parts.app, parts.key),
            TopicKind::Channel => Self::of_key(parts.app, parts.key),
        })
    }

    /// The compact form, unique among topics.
    pub fn name(&self) -> &Bytes {
        &self.name
    }

    /// The slot that places the topic on a shard ([`slot_of`] of app and key).
    pub fn slot(&self) -> u16 {
        self.slot
    }

    /// What the topic names; `None` for an opaque one.
    pub fn parts(&self) -> Option<TopicParts<'_>> {
        let (app, key) = self.name.split_first_chunk::<APP_BYTES>()?;
        let key = std::str::from_utf8(key).ok()?;
        let app = AppUuid(*app);
        match key.strip_prefix(USER_PREFIX) {
            Some("") => None,
            Some(username) => Some(TopicParts { app, kind: TopicKind::User, key: username }),
            None => Channel::from_key(key).ok().map(|_| TopicParts { app, kind: TopicKind::Channel, key }),
        }
    }

    fn of_key(app: AppUuid, key: &str) -> Self {
        let mut name = Vec::with_capacity(APP_BYTES + key.len());
        name.extend_from_slice(&app.0);
        name.extend_from_slice(key.as_bytes());
        Self { slot: slot_of(app, key), name: name.into() }
    }
}

impl PartialEq for Topic {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Topic {}

impl Hash for Topic {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parts() {
            Some(parts) => write!(f, "Topic({} {:?} {})", parts.app, parts.kind, parts.key),
            None => write!(f, "Topic(opaque, slot {})", self.slot),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: AppUuid = AppUuid([7; 16]);

    #[test]
    fn a_channels_topic_has_the_channels_slot() {
        let channel = Channel::Group("1".to_owned());
        assert_eq!(Topic::channel(APP, &channel).slot(), slot_of(APP, &channel.key()));
    }

    #[test]
    fn every_topic_reads_back_from_its_name() {
        for topic in [Topic::user(APP, "alice"), Topic::channel(APP, &Channel::Group("1".to_owned()))] {
            let again = Topic::from_name(topic.name()).unwrap();
            assert_eq!((&again, again.slot()), (&topic, topic.slot()));
        }
        for wrong in [&b""[..], &[7; 16], b"0123456789abcdefu:", b"0123456789abcdefx:1"] {
            assert_eq!(Topic::from_name(wrong), None);
        }
    }

    #[test]
    fn users_channels_and_apps_are_apart() {
        let topics = [
            Topic::user(APP, "1"),
            Topic::channel(APP, &Channel::Group("1".to_owned())),
            Topic::channel(APP, &Channel::Room("1".to_owned())),
            Topic::user(AppUuid([8; 16]), "1"),
        ];
        let distinct: std::collections::HashSet<_> = topics.iter().collect();
        assert_eq!(distinct.len(), topics.len());
        let parts = topics[0].parts().unwrap();
        assert_eq!((parts.app, parts.kind, parts.key), (APP, TopicKind::User, "1"));
    }
}
