//! Messages that come for the session's user: pushed, passed over, or left for the client to pull.

use bytes::Bytes;

use super::queues::{Behind, Entry, State};
use super::{Command, Live, Phase, Session};
use crate::codec;
use crate::queue::{Queue, QueueKind};

/// One message for the sessions of one user, or of all members of a group or room. Shared by all of them, and so is its
/// frame.
pub struct Delivery {
    pub queue: Queue,
    pub id: u64,
    /// The id before it in the user's view of the queue; 0 for the first.
    pub previous_id: u64,
    /// Not in the log: for those who are there now.
    pub transient: bool,
    /// Whose device sent it; empty for whoever the delivery is for.
    pub except_user: String,
    /// The device that sent it and does not get it back; empty for none, or with [`except_user`](Delivery::except_user) for
    /// all of that user's.
    pub except_device: String,
    /// Only this device gets it; empty for all.
    pub only_device: String,
    /// Only these users get it; empty for all.
    pub only_users: Vec<String>,
    /// From [`codec::delivery`]; may be empty when it is [for](Delivery::is_for) no session that gets it.
    pub frame: Bytes,
}

impl Delivery {
    /// Whether this device of this user is to get the message. One that is not only learns its id.
    pub fn is_for(&self, user: &str, device: &str) -> bool {
        let is_left_out = if self.except_user.is_empty() {
            self.except_device == device
        } else {
            // Two users may have devices of the same name.
            self.except_user == user && (self.except_device.is_empty() || self.except_device == device)
        };
        !is_left_out
            && (self.only_device.is_empty() || self.only_device == device)
            && (self.only_users.is_empty() || self.only_users.iter().any(|only| only == user))
    }
}

impl Session {
    /// A message for the session's user.
    pub fn deliver(&mut self, delivery: &Delivery, out: &mut Vec<Command>) {
        let Phase::Live(live) = &mut self.phase else { return };
        let is_mine = delivery.is_for(&live.user, &live.device);
        // A room's messages are for those who are there; what one misses is in its history.
        if delivery.transient || delivery.queue.kind == QueueKind::Room {
            if is_mine {
                live.proof.pushed_transient();
                out.push(Command::Send(delivery.frame.clone()));
            }
            return;
        }
        if live.recounting {
            return live.fall_behind(&delivery.queue, delivery.id, out);
        }
        let Live { queues, proof, .. } = &mut **live;
        let known = queues.get(&delivery.queue).is_some();
        if !known {
            let others_are_behind = queues.others_are_behind();
            let entry = Entry::caught_up(delivery.queue.clone(), delivery.previous_id);
            if others_are_behind || queues.add(entry).is_none() {
                if is_mine {
                    out.push(Command::Send(codec::notice(&delivery.queue)));
                }
                return;
            }
        }
        let Some(entry) = queues.get(&delivery.queue) else { return };
        match &mut entry.state {
            State::Behind(behind) => {
                if is_mine {
                    behind.missed = behind.missed.max(delivery.id);
                }
                // What is passed over needs no pull, only its place in the chain.
                entry.seen = entry.seen.max(delivery.id);
            }
            State::CaughtUp if delivery.id <= entry.seen => {}
            State::CaughtUp if delivery.previous_id > entry.seen || (is_mine && !proof.has_room()) => {
                live.fall_behind(&delivery.queue, delivery.id, out);
            }
            State::CaughtUp => {
                entry.seen = delivery.id;
                if is_mine {
                    entry.pushed = delivery.id;
                    proof.pushed(&delivery.queue, delivery.id);
                    out.push(Command::Send(delivery.frame.clone()));
                }
            }
        }
    }

    /// Deliveries for this session were dropped because too many waited: asks the router which queues lack messages.
    pub fn overflowed(&mut self, out: &mut Vec<Command>) {
        if let Phase::Live(live) = &mut self.phase
            && !live.recounting
        {
            live.recounting = true;
            self.in_flight += 1;
            out.push(Command::Recount);
        }
    }

    /// The outcome of [`Command::Recount`]; `None` if the router does not answer, which ends the session: it no longer
    /// knows what it lacks.
    pub fn recounted(&mut self, queues: Option<Vec<Queue>>, out: &mut Vec<Command>) {
        self.landed();
        let Phase::Live(live) = &mut self.phase else { return };
        live.recounting = false;
        match queues {
            Some(queues) => queues.iter().for_each(|queue| live.fall_behind(queue, 0, out)),
            None => self.close(super::CloseReason::Unavailable, out),
        }
    }
}

impl Live {
    /// From now on the client pulls this queue, and it is told so; `missed` is the id that it did not get, or 0.
    pub(super) fn fall_behind(&mut self, queue: &Queue, missed: u64, out: &mut Vec<Command>) {
        if self.turn_behind(queue, missed) {
            out.push(Command::Send(codec::notice(queue)));
        }
    }

    /// The client pulls what it is told to lack. Queues that were behind and turn out not to lack anything are pushed to again;
    /// those in which something came meanwhile are noticed.
    pub(super) fn stop_waiting_for_pulls(
        &mut self,
        lacks_nothing: impl Fn(&Queue) -> bool,
        out: &mut Vec<Command>,
    ) {
        for entry in self.queues.iter_mut() {
            let State::Behind(behind) = &entry.state else { continue };
            // Whoever pulls goes on to the end.
            let is_pulled = behind.pulling || behind.page_sent_ms > 0;
            if is_pulled || !lacks_nothing(&entry.queue) {
                continue;
            }
            if behind.missed > 0 {
                out.push(Command::Send(codec::notice(&entry.queue)));
            } else {
                entry.state = State::CaughtUp;
            }
        }
    }

    /// The same without a word, for a client that is about to hear of it. True if the queue was not behind before.
    pub(super) fn turn_behind(&mut self, queue: &Queue, missed: u64) -> bool {
        match self.queues.get(queue) {
            Some(Entry { state: State::Behind(behind), .. }) => {
                behind.missed = behind.missed.max(missed);
                false
            }
            Some(entry) => {
                entry.state = State::Behind(Behind { missed, ..Behind::default() });
                true
            }
            None => {
                let behind = Behind { missed, ..Behind::default() };
                self.queues.add(Entry::behind(queue.clone(), behind));
                true
            }
        }
    }
}
