use std::sync::Arc;

/// The domain of users on the wire.
pub const USER_DOMAIN: &str = "easemob.com";
/// The domain of groups, rooms and threads on the wire.
pub const CONFERENCE_DOMAIN: &str = "conference.easemob.com";

/// What a queue holds the messages of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QueueKind {
    Direct,
    Group,
    Room,
    Thread,
}

/// A channel as one user sees it: the other user, or the group, room or thread (msync.md §3).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Queue {
    /// The peer's username, or the id of the group, room or thread.
    pub name: Arc<str>,
    pub kind: QueueKind,
}

impl Queue {
    /// The queue of this name and kind.
    pub fn new(kind: QueueKind, name: &str) -> Self {
        Self { name: name.into(), kind }
    }

    /// The domain of its JID.
    pub fn domain(&self) -> &'static str {
        match self.kind {
            QueueKind::Direct => USER_DOMAIN,
            QueueKind::Group | QueueKind::Room | QueueKind::Thread => CONFERENCE_DOMAIN,
        }
    }
}

/// How far a queue has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    pub queue: Queue,
    pub id: u64,
}
