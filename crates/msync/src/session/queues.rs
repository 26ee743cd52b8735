//! What a session knows of each of its queues.

use crate::queue::Queue;

/// Most queues that a session remembers one by one.
pub(super) const QUEUES_MAX: usize = 512;

/// One queue.
pub(super) struct Entry {
    pub(super) queue: Queue,
    /// The newest id of the channel that the session has seen: pushed, in a page, or passed over.
    pub(super) seen: u64,
    /// The newest id that was pushed to the client, and the newest that it has proven to have.
    pub(super) pushed: u64,
    pub(super) proven: u64,
    pub(super) state: State,
}

pub(super) enum State {
    /// Messages are pushed as they come.
    CaughtUp,
    /// The client pulls; nothing is pushed.
    Behind(Behind),
}

#[derive(Default)]
pub(super) struct Behind {
    /// Was behind when the device came.
    pub(super) since_login: bool,
    /// The router reads a page.
    pub(super) pulling: bool,
    /// When the page was sent whose key has not come back yet; 0 for none.
    pub(super) page_sent_ms: u64,
    /// The newest id that came by since the page was asked for, so that it may not be in it.
    pub(super) missed: u64,
}

impl Entry {
    pub(super) fn caught_up(queue: Queue, seen: u64) -> Self {
        Self { queue, seen, pushed: 0, proven: 0, state: State::CaughtUp }
    }

    pub(super) fn behind(queue: Queue, behind: Behind) -> Self {
        Self { queue, seen: 0, pushed: 0, proven: 0, state: State::Behind(behind) }
    }

    fn is_forgettable(&self) -> bool {
        matches!(self.state, State::CaughtUp) && self.proven >= self.pushed
    }
}

/// The queues of a session, sorted; most sessions have few of them, and an idle one none.
#[derive(Default)]
pub(super) struct Queues {
    entries: Vec<Entry>,
    /// There were more queues than are remembered: one that is not here counts as behind, which is always safe.
    others_are_behind: bool,
}

impl Queues {
    pub(super) fn others_are_behind(&self) -> bool {
        self.others_are_behind
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.entries.iter_mut()
    }

    pub(super) fn get(&mut self, queue: &Queue) -> Option<&mut Entry> {
        let at = self.find(queue).ok()?;
        Some(&mut self.entries[at])
    }

    /// A pull names a group, room or thread without saying which of the three it is.
    pub(super) fn with_kind_of(&self, asked: Queue) -> Queue {
        if self.find(&asked).is_ok() {
            return asked;
        }
        let known = self
            .entries
            .iter()
            .find(|entry| entry.queue.name == asked.name && entry.queue.domain() == asked.domain());
        known.map_or(asked, |entry| entry.queue.clone())
    }

    /// Remembers a queue that is not known yet. When there is no room for it even after forgetting one that is caught up
    /// and proven, all queues that are not remembered count as behind from now on; `None` then.
    pub(super) fn add(&mut self, entry: Entry) -> Option<&mut Entry> {
        if self.entries.len() >= QUEUES_MAX {
            // A forgotten queue counts as caught up, which it was; but not while unknown queues count as behind.
            match self.entries.iter().position(Entry::is_forgettable) {
                Some(at) if !self.others_are_behind => drop(self.entries.remove(at)),
                _ => {
                    self.others_are_behind = true;
                    return None;
                }
            }
        }
        let at = match self.find(&entry.queue) {
            Ok(at) => at,
            Err(at) => {
                self.entries.insert(at, entry);
                at
            }
        };
        Some(&mut self.entries[at])
    }

    fn find(&self, queue: &Queue) -> Result<usize, usize> {
        self.entries.binary_search_by(|entry| entry.queue.cmp(queue))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::QueueKind;

    fn direct(number: usize) -> Queue {
        Queue::new(QueueKind::Direct, &format!("u{number:04}"))
    }

    #[test]
    fn a_full_list_forgets_what_is_caught_up_and_proven() {
        let mut queues = Queues::default();
        for number in 0..QUEUES_MAX {
            let mut entry = Entry::caught_up(direct(number), 5);
            entry.pushed = if number == 7 { 0 } else { 5 };
            assert!(queues.add(entry).is_some());
        }
        queues.add(Entry::caught_up(direct(9000), 1)).unwrap().pushed = 1;
        assert!(queues.get(&direct(7)).is_none());
        assert!(queues.get(&direct(8)).is_some());
        assert!(!queues.others_are_behind());
        assert!(queues.add(Entry::caught_up(direct(9001), 1)).is_none());
        assert!(queues.others_are_behind());
    }

    #[test]
    fn a_pull_finds_the_kind_of_its_queue() {
        let mut queues = Queues::default();
        queues.add(Entry::caught_up(Queue::new(QueueKind::Room, "1"), 0));
        queues.add(Entry::caught_up(Queue::new(QueueKind::Direct, "2"), 0));
        assert_eq!(queues.with_kind_of(Queue::new(QueueKind::Group, "1")).kind, QueueKind::Room);
        assert_eq!(queues.with_kind_of(Queue::new(QueueKind::Group, "2")).kind, QueueKind::Group);
    }
}
