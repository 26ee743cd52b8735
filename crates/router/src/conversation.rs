//! How a user stands to a channel, and how far a device has taken it.

use std::collections::VecDeque;

use bulkhead_proto::records::{Conversation, Cursor};

use crate::cache::Pinned;

/// How many of the newest ids have their count remembered; more than a session may have unproven.
const MARKS_MAX: usize = 96;

/// How many of them stay when some device has taken them: others are a little behind it.
const TAKEN_MARKS_MAX: usize = 16;

/// An id of a channel and how many chat messages the user had been sent up to it.
pub(crate) type Mark = (u64, u64);

/// The newest marks of a log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks(VecDeque<Mark>);

impl Marks {
    /// The count at an id: exact among the newest, a lower bound or nothing for older ones.
    pub(crate) fn incoming_at(&self, id: u64) -> Option<u64> {
        let after = self.0.partition_point(|(marked, _)| *marked <= id);
        after.checked_sub(1).map(|index| self.0[index].1)
    }

    /// Takes in newer marks.
    pub(crate) fn extend(&mut self, marks: impl IntoIterator<Item = Mark>) {
        for mark in marks {
            if self.0.len() >= MARKS_MAX {
                self.0.pop_front();
            }
            self.0.push_back(mark);
        }
    }
}

/// A conversation in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing {
    pub(crate) row: Conversation,
    /// What the store has as `taken_id`.
    durable_taken_id: u64,
    /// The newest messages, so that a proof somewhere among them counts exactly.
    marks: Marks,
}

impl Pinned for Standing {
    fn pinned(&self) -> bool {
        self.is_dirty()
    }
}

impl Standing {
    /// As the store has it.
    pub(crate) fn stored(row: Conversation) -> Self {
        Self { durable_taken_id: row.taken_id, row, marks: Marks::default() }
    }

    pub(crate) fn is_dirty(&self) -> bool {
        self.row.taken_id > self.durable_taken_id
    }

    /// Takes in a row that is durable now; proof that came meanwhile stays.
    pub(crate) fn written(&mut self, row: &Conversation, marks: impl IntoIterator<Item = Mark>) {
        self.row.last_id = self.row.last_id.max(row.last_id);
        self.row.incoming = self.row.incoming.max(row.incoming);
        self.take((row.taken_id, row.taken_incoming));
        self.durable_taken_id = self.durable_taken_id.max(row.taken_id);
        self.marks.extend(marks);
        self.prune();
    }

    /// A member of a group stands at the group's end of the log, and has nothing to take of what was before it came.
    pub(crate) fn enter(&mut self, end: Mark, joined: Mark) {
        self.row.last_id = self.row.last_id.max(end.0);
        self.row.incoming = self.row.incoming.max(end.1);
        if joined.0 > self.row.taken_id {
            self.row.taken_id = joined.0;
            self.row.taken_incoming = self.row.taken_incoming.max(joined.1);
            // As good as written: the membership says the same.
            self.durable_taken_id = self.durable_taken_id.max(joined.0);
        }
    }

    /// Some device has everything up to the mark.
    pub(crate) fn take(&mut self, (id, incoming): Mark) {
        if id > self.row.taken_id {
            self.row.taken_id = id;
            self.row.taken_incoming = self.row.taken_incoming.max(incoming).min(self.row.incoming);
            self.prune();
        }
    }

    /// The count at an id, as far as it is known: exact for the newest ids, a lower bound or nothing for older ones.
    pub(crate) fn incoming_at(&self, id: u64) -> Option<u64> {
        if id >= self.row.last_id {
            return Some(self.row.incoming);
        }
        self.marks.incoming_at(id)
    }

    fn prune(&mut self) {
        let marks = &mut self.marks.0;
        while marks.len() > TAKEN_MARKS_MAX && marks[0].0 <= self.row.taken_id {
            marks.pop_front();
        }
    }
}

/// A device's cursor in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    pub(crate) id: u64,
    pub(crate) incoming: u64,
    /// Where the last page that was pulled ends; counts exactly.
    pub(crate) page: Mark,
    durable_id: u64,
}

impl Pinned for Place {
    fn pinned(&self) -> bool {
        self.is_dirty()
    }
}

impl Place {
    /// As the store has it; a device without a cursor of its own here stands at its `since_id`.
    pub(crate) fn stored(cursor: &Cursor) -> Self {
        Self { id: cursor.id, incoming: cursor.incoming, page: (0, 0), durable_id: cursor.id }
    }

    pub(crate) fn is_dirty(&self) -> bool {
        self.id > self.durable_id
    }

    /// Has the cursor written again although it did not move: its row would expire otherwise.
    pub(crate) fn soil(&mut self) {
        self.durable_id = self.durable_id.min(self.id.saturating_sub(1));
    }

    pub(crate) fn cursor(&self) -> Cursor {
        Cursor { id: self.id, incoming: self.incoming }
    }

    pub(crate) fn written(&mut self, id: u64) {
        self.durable_id = self.durable_id.max(id);
    }

    /// Moves forward, never back.
    pub(crate) fn advance(&mut self, (id, incoming): Mark) {
        if id > self.id {
            self.id = id;
            self.incoming = self.incoming.max(incoming);
        }
    }

    /// A member's device has nothing to take of what was before the member came.
    pub(crate) fn enter(&mut self, joined: Mark) {
        if joined.0 > self.id {
            self.id = joined.0;
            // As good as written: the membership says the same.
            self.durable_id = self.durable_id.max(joined.0);
        }
        self.incoming = self.incoming.max(joined.1);
    }

    /// Where a proof for `id` puts this device, given where the log ends and what is known of its counts; never beyond
    /// the newest message.
    pub(crate) fn proven(&self, id: u64, end: Mark, incoming_at: impl Fn(u64) -> Option<u64>) -> Mark {
        let id = id.min(end.0);
        let counted = if id == self.page.0 { Some(self.page.1) } else { incoming_at(id) };
        (id, counted.unwrap_or(self.incoming).max(self.incoming).min(end.1))
    }
}

/// Chat messages that a device at `place` has not taken.
pub(crate) fn count_after(row: &Conversation, cursor: &Cursor) -> u64 {
    row.incoming.saturating_sub(cursor.incoming)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing() -> Standing {
        let mut standing = Standing::default();
        for n in 1..=10 {
            let row = Conversation { last_id: n * 10, incoming: n, ..Conversation::default() };
            standing.written(&row, [(n * 10, n)]);
        }
        standing
    }

    #[test]
    fn proof_counts_exactly_moves_forward_only_and_never_beyond_the_log() {
        let standing = standing();
        let mut place = Place::default();
        let proven = |place: &Place, id| place.proven(id, (100, 10), |id| standing.incoming_at(id));
        place.advance(proven(&place, 40));
        assert_eq!(place.cursor(), Cursor { id: 40, incoming: 4 });
        place.advance(proven(&place, 20));
        assert_eq!(place.id, 40);
        place.advance(proven(&place, 5000));
        assert_eq!(place.cursor(), Cursor { id: 100, incoming: 10 });
        assert!(place.is_dirty());
        place.written(100);
        assert!(!place.is_dirty());
    }

    #[test]
    fn proof_that_comes_during_a_write_stays_to_be_written() {
        let mut standing = standing();
        let writing = standing.row;
        standing.take((50, 5));
        standing.written(&writing, []);
        assert_eq!((standing.row.taken_id, standing.row.taken_incoming), (50, 5));
        assert!(standing.is_dirty());
        let writing = standing.row;
        standing.written(&writing, []);
        assert!(!standing.is_dirty());
    }

    #[test]
    fn marks_are_bounded() {
        let mut standing = Standing::default();
        for n in 1..1000 {
            standing.written(&Conversation { last_id: n, incoming: n, ..Conversation::default() }, [(n, n)]);
        }
        assert_eq!(standing.marks.0.len(), MARKS_MAX);
        assert_eq!(standing.incoming_at(1), None);
        assert_eq!(standing.incoming_at(950), Some(950));
        standing.take((990, 990));
        assert_eq!(standing.marks.0.len(), TAKEN_MARKS_MAX);
        assert_eq!(standing.incoming_at(995), Some(995));
    }
}
