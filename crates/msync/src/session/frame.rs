//! What a client sends, and what each state makes of it.

use bytes::Bytes;

use super::queues::State;
use super::{CloseReason, Command, Phase, Session};
use crate::codec::{self, UpFrame};
use crate::queue::Queue;

impl Session {
    /// A binary frame of the client. A frame that means nothing, comes too often or in the wrong state ends the
    /// session.
    pub fn frame(&mut self, frame: &Bytes, now_ms: u64, out: &mut Vec<Command>) {
        if !self.heard(now_ms, out) {
            return;
        }
        let Ok(frame) = codec::decode(frame) else { return self.close(CloseReason::Malformed, out) };
        match frame {
            UpFrame::Login(request) => self.log_in(request, now_ms, out),
            UpFrame::Logout => self.close(CloseReason::LoggedOut, out),
            _ if !self.is_live() => self.close(CloseReason::Policy, out),
            UpFrame::Unread => {
                self.in_flight += 1;
                out.push(Command::Unread);
            }
            UpFrame::Pull(pull) => self.pull(pull, now_ms, out),
            UpFrame::Send(message) => self.publish(message, now_ms, out),
            UpFrame::Statistics => {}
        }
    }

    /// A WebSocket ping of the client: a sign of life that counts like a frame.
    pub fn pinged(&mut self, now_ms: u64, out: &mut Vec<Command>) {
        self.heard(now_ms, out);
    }

    /// A WebSocket pong: a sign of life and, if it answers a [`Command::Ping`], proof of what was pushed before it. A
    /// client that only listens sends nothing else for as long as it hears something (msync.md §8).
    pub fn pong(&mut self, payload: &[u8], now_ms: u64, out: &mut Vec<Command>) {
        if !self.heard(now_ms, out) {
            return;
        }
        let Phase::Live(live) = &mut self.phase else { return };
        let mut proven = live.proof.answer(payload);
        proven.retain(|position| match live.queues.get(&position.queue) {
            // The key of a pull has proven it before.
            Some(entry) if entry.proven >= position.id => false,
            Some(entry) => {
                entry.proven = position.id;
                true
            }
            None => true,
        });
        live.proof.confirm(proven, out);
    }

    /// The outcome of [`Command::Confirm`]. What could not be confirmed comes again at the next login, at worst.
    pub fn confirmed(&mut self, out: &mut Vec<Command>) {
        if let Phase::Live(live) = &mut self.phase {
            live.proof.confirmed(out);
        }
    }

    /// The outcome of [`Command::Unread`]: the queues in which the device lacks messages and how many; `None` if the router
    /// does not answer: as a keep-alive the frame is answered all the same.
    pub fn unread(&mut self, queues: Option<Vec<(Queue, u64)>>, now_ms: u64, out: &mut Vec<Command>) {
        self.landed();
        let Phase::Live(live) = &mut self.phase else { return };
        let is_known = queues.is_some();
        let mut queues = queues.unwrap_or_default();
        queues.retain(|(queue, _)| match live.queues.get(queue) {
            // What is lacking here was pushed already and waits for its proof.
            Some(entry) => !(matches!(entry.state, State::CaughtUp) && entry.pushed > entry.proven),
            None => true,
        });
        for (queue, _) in &queues {
            live.turn_behind(queue, 0);
        }
        out.push(Command::Send(codec::unread(queues.iter().map(|(queue, count)| (queue, *count)), now_ms)));
        if is_known {
            let is_listed = |queue: &Queue| queues.iter().any(|(listed, _)| listed == queue);
            live.stop_waiting_for_pulls(|queue| !is_listed(queue), out);
        }
    }

    /// Notes a sign of life. False when the session is closed, or closes now because there are too many.
    fn heard(&mut self, now_ms: u64, out: &mut Vec<Command>) -> bool {
        if self.is_closed() {
            return false;
        }
        self.last_heard_ms = now_ms;
        let within = self.rate.admit(self.limits.frame_rate_per_s, now_ms);
        if !within {
            self.close(CloseReason::Policy, out);
        }
        within
    }
}
