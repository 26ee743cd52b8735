//! The sessions of each group and room.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;

use bulkhead_proto::router::Queue;
use parking_lot::RwLock;

use super::hub::SessionHandle;

const PARTS: usize = 64;

/// App identity, kind and name of a group or room, one behind the other.
pub(super) type ChannelKey = Arc<[u8]>;

type Part = HashMap<ChannelKey, Vec<Arc<SessionHandle>>>;

/// See the module.
pub(super) struct Channels {
    parts: Vec<RwLock<Part>>,
    hasher: RandomState,
}

/// The key of a channel; `None` for a queue that is none.
pub(super) fn channel_key(app: &[u8], queue: Option<&Queue>) -> Option<ChannelKey> {
    let queue = queue?;
    Some([app, &[u8::try_from(queue.kind).ok()?], queue.name.as_bytes()].concat().into())
}

impl Channels {
    pub(super) fn new() -> Self {
        Self { parts: (0..PARTS).map(|_| RwLock::default()).collect(), hasher: RandomState::new() }
    }

    /// Puts a session in that is not in yet.
    pub(super) fn add(&self, key: &ChannelKey, session: &Arc<SessionHandle>) {
        self.part(key).write().entry(Arc::clone(key)).or_default().push(Arc::clone(session));
    }

    pub(super) fn remove(&self, key: &ChannelKey, session: &Arc<SessionHandle>) {
        let mut part = self.part(key).write();
        let Some(sessions) = part.get_mut(key) else { return };
        if let Some(at) = sessions.iter().position(|known| Arc::ptr_eq(known, session)) {
            sessions.swap_remove(at);
        }
        if sessions.is_empty() {
            part.remove(key);
        }
    }

    /// Runs `work` on the sessions of a channel, if it has any here.
    pub(super) fn with(&self, key: &ChannelKey, work: impl FnOnce(&[Arc<SessionHandle>])) {
        if let Some(sessions) = self.part(key).read().get(key) {
            work(sessions);
        }
    }

    fn part(&self, key: &[u8]) -> &RwLock<Part> {
        &self.parts[self.hasher.hash_one(key) as usize % PARTS]
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.parts.iter().all(|part| part.read().is_empty())
    }
}
