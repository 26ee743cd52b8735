//! Proof of delivery: a frame that was pushed is not yet delivered; the pong of a ping that was sent behind it proves
//! that it arrived, because frames arrive in order (design: the path of one message).

use bulkhead_model::limits::UNPROVEN_PUSHES_MAX;

use super::command::Command;
use crate::queue::{Position, Queue, QueueKind};

/// How soon after a ping the next one follows pushes of groups, in milliseconds. A message of a group is pushed to many:
/// a ping and a pong for each push would cost more than the pushes.
const GROUP_PING_EVERY_MS: u64 = 1_000;

/// How many of them are pinged at once, however soon.
const GROUP_PUSHES_MAX: usize = UNPROVEN_PUSHES_MAX / 2;

/// How soon after a ping the next one follows pushes that are not in the log, in milliseconds: their pong is but a sign
/// of life.
const LIFE_PING_EVERY_MS: u64 = 20_000;

/// What was pushed and is not proven. At most one ping is under way.
#[derive(Default)]
pub(super) struct Proof {
    /// Pushed since the last ping was sent.
    fresh: Pushes,
    /// Pushed before the ping that is under way.
    pinged: Option<Box<Pushes>>,
    /// When the last ping was sent.
    asked_ms: u64,
    /// The number in that ping.
    number: u32,
    /// A confirmation is under way; what is proven meanwhile waits here.
    confirming: bool,
    proven: Vec<Position>,
}

#[derive(Default)]
struct Pushes {
    positions: Vec<Position>,
    count: usize,
    /// Something was pushed, be it only what has no place in the log.
    any: bool,
    /// Something was pushed to this user alone.
    own: bool,
}

impl Proof {
    /// Whether one more message may be pushed.
    pub(super) fn has_room(&self) -> bool {
        self.fresh.count + self.pinged.as_ref().map_or(0, |pushes| pushes.count) < UNPROVEN_PUSHES_MAX
    }

    /// A message of the log was pushed.
    pub(super) fn pushed(&mut self, queue: &Queue, id: u64) {
        self.fresh.own |= queue.kind == QueueKind::Direct;
        self.add(queue, id, 1);
    }

    /// A page of a pull was sent, whose messages end at this id.
    pub(super) fn paged(&mut self, queue: &Queue, id: u64, count: usize) {
        self.fresh.own = true;
        self.add(queue, id, count);
    }

    /// Something that is not in the log was pushed: its pong is a sign of life and nothing more.
    pub(super) fn pushed_transient(&mut self) {
        self.fresh.any = true;
    }

    /// When the next ping is due, in Unix milliseconds; `u64::MAX` when there is nothing to prove or one is under way.
    pub(super) fn due_ms(&self) -> u64 {
        let fresh = &self.fresh;
        if !fresh.any || self.pinged.is_some() {
            u64::MAX
        } else if fresh.own || fresh.count >= GROUP_PUSHES_MAX {
            0
        } else if fresh.count > 0 {
            self.asked_ms.saturating_add(GROUP_PING_EVERY_MS)
        } else {
            self.asked_ms.saturating_add(LIFE_PING_EVERY_MS)
        }
    }

    /// Sends a ping when one is due.
    pub(super) fn ask(&mut self, now_ms: u64, out: &mut Vec<Command>) {
        if self.due_ms() <= now_ms {
            self.asked_ms = now_ms;
            self.pinged = Some(Box::new(std::mem::take(&mut self.fresh)));
            self.number = self.number.wrapping_add(1);
            out.push(Command::Ping(self.number.to_be_bytes()));
        }
    }

    fn add(&mut self, queue: &Queue, id: u64, count: usize) {
        self.fresh.any = true;
        self.fresh.count += count;
        raise(&mut self.fresh.positions, queue, id);
    }

    /// What a pong proves; nothing if it answers no ping that is under way.
    pub(super) fn answer(&mut self, payload: &[u8]) -> Vec<Position> {
        if payload != self.number.to_be_bytes() {
            return Vec::new();
        }
        self.pinged.take().map_or_else(Vec::new, |pushes| pushes.positions)
    }

    /// Confirms positions now, or after the confirmation that is under way.
    pub(super) fn confirm(&mut self, positions: Vec<Position>, out: &mut Vec<Command>) {
        if positions.is_empty() {
            return;
        }
        if self.confirming {
            positions.iter().for_each(|position| raise(&mut self.proven, &position.queue, position.id));
        } else {
            self.confirming = true;
            out.push(Command::Confirm(positions));
        }
    }

    /// The confirmation that was under way has its outcome.
    pub(super) fn confirmed(&mut self, out: &mut Vec<Command>) {
        self.confirming = false;
        let waiting = std::mem::take(&mut self.proven);
        self.confirm(waiting, out);
    }
}

fn raise(positions: &mut Vec<Position>, queue: &Queue, id: u64) {
    match positions.iter_mut().find(|position| position.queue == *queue) {
        Some(position) => position.id = position.id.max(id),
        None => positions.push(Position { queue: queue.clone(), id }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_800_000_000_000;

    #[test]
    fn a_pong_proves_what_was_pushed_before_its_ping_and_nothing_later() {
        let bob = Queue::new(QueueKind::Direct, "bob");
        let (mut proof, mut out) = (Proof::default(), Vec::new());
        proof.pushed(&bob, 1);
        proof.pushed(&bob, 2);
        proof.ask(NOW_MS, &mut out);
        let Some(Command::Ping(first)) = out.pop() else { panic!("no ping") };
        proof.pushed(&bob, 3);
        proof.ask(NOW_MS, &mut out);
        assert!(out.is_empty(), "one ping is under way");
        assert!(proof.answer(b"else").is_empty());
        assert_eq!(proof.answer(&first), [Position { queue: bob.clone(), id: 2 }]);
        assert!(proof.answer(&first).is_empty(), "the same pong again");
        proof.ask(NOW_MS, &mut out);
        let Some(Command::Ping(second)) = out.pop() else { panic!("no ping") };
        assert!(proof.answer(&first).is_empty(), "an old pong");
        assert_eq!(proof.answer(&second), [Position { queue: bob, id: 3 }]);
        proof.ask(NOW_MS, &mut out);
        assert!(out.is_empty(), "nothing to prove");
    }

    #[test]
    fn confirmations_go_one_after_the_other_and_none_is_lost() {
        let position = |name: &str, id| Position { queue: Queue::new(QueueKind::Direct, name), id };
        let (mut proof, mut out) = (Proof::default(), Vec::new());
        proof.confirm(vec![position("a", 1)], &mut out);
        proof.confirm(vec![position("a", 3), position("b", 1)], &mut out);
        proof.confirm(vec![position("a", 2)], &mut out);
        assert!(matches!(out.pop(), Some(Command::Confirm(first)) if first == [position("a", 1)]));
        assert!(out.is_empty());
        proof.confirmed(&mut out);
        let expected = [position("a", 3), position("b", 1)];
        assert!(matches!(out.pop(), Some(Command::Confirm(second)) if second == expected));
        proof.confirmed(&mut out);
        assert!(out.is_empty());
    }

    #[test]
    fn pushes_are_bounded_until_they_are_proven() {
        let bob = Queue::new(QueueKind::Direct, "bob");
        let (mut proof, mut out) = (Proof::default(), Vec::new());
        for id in 0..UNPROVEN_PUSHES_MAX {
            assert!(proof.has_room());
            proof.pushed(&bob, id as u64);
            proof.ask(NOW_MS, &mut out);
        }
        assert!(!proof.has_room());
        proof.answer(&1u32.to_be_bytes());
        assert!(proof.has_room());
    }

    #[test]
    fn pushes_of_groups_share_a_ping() {
        let group = Queue::new(QueueKind::Group, "1");
        let (mut proof, mut out) = (Proof::default(), Vec::new());
        let mut ask = |proof: &mut Proof, now_ms| {
            proof.ask(now_ms, &mut out);
            matches!(out.pop(), Some(Command::Ping(_)))
        };
        proof.pushed(&group, 1);
        assert!(ask(&mut proof, NOW_MS), "the first at once");
        proof.answer(&1u32.to_be_bytes());
        proof.pushed(&group, 2);
        assert!(!ask(&mut proof, NOW_MS + 999));
        assert_eq!(proof.due_ms(), NOW_MS + GROUP_PING_EVERY_MS);
        assert!(ask(&mut proof, NOW_MS + 1_000));
        proof.answer(&2u32.to_be_bytes());
        (0..GROUP_PUSHES_MAX as u64).for_each(|id| proof.pushed(&group, 3 + id));
        assert!(ask(&mut proof, NOW_MS + 1_001), "there are many");
        proof.answer(&3u32.to_be_bytes());
        proof.pushed_transient();
        assert!(!ask(&mut proof, NOW_MS + 20_000));
        proof.pushed(&Queue::new(QueueKind::Direct, "bob"), 1);
        assert!(ask(&mut proof, NOW_MS + 20_000), "what is for this user alone does not wait");
        assert_eq!(proof.due_ms(), u64::MAX);
    }
}
