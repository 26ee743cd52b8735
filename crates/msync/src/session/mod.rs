//! One client's socket as a state machine.

mod command;
mod delivery;
mod frame;
mod login;
mod proof;
mod publish;
mod pull;
mod queues;
mod rate;
mod refusal;
mod room;
#[cfg(test)]
mod tests;

pub use command::{CloseReason, Command, Join, Publish};
pub use delivery::Delivery;
pub use login::LoggedIn;
pub use publish::Ack;
pub use pull::Page;
pub use refusal::{LoginRefusal, login_refusal, send_refusal};

use proof::Proof;
use queues::Queues;
use rate::Rate;

use crate::codec;
use crate::proto::statistics_body::Operation;

/// What one socket may do.
#[derive(Clone, Copy, Debug)]
pub struct SessionLimits {
    /// A socket that sends nothing for this long is closed, in milliseconds.
    pub idle_limit_ms: u64,
    /// A socket that has not logged in within this time is closed, in milliseconds.
    pub login_limit_ms: u64,
    /// Frames a second, and as many at once; above it the socket is closed.
    pub frame_rate_per_s: u32,
}

/// Most commands of one session that wait for an outcome; beyond it the session wants no more frames.
pub(crate) const IN_FLIGHT_MAX: u16 = 256;

/// One client's socket.
///
/// Frames, outcomes and events go in by the methods, each with the time in Unix milliseconds where it matters; what
/// is to be done comes out as [`Command`]s at the end of `out`, to be carried out in order. After a
/// [`Command::Close`] nothing comes out any more.
pub struct Session {
    limits: SessionLimits,
    last_heard_ms: u64,
    rate: Rate,
    in_flight: u16,
    phase: Phase,
}

enum Phase {
    /// Waits for a login since this instant.
    New {
        since_ms: u64,
    },
    /// Waits for the outcome of a login.
    LoggingIn {
        device: Box<str>,
        since_ms: u64,
    },
    Live(Box<Live>),
    Closed,
}

/// A session that is logged in. Kept small: most sessions are idle most of the time.
struct Live {
    user: Box<str>,
    device: Box<str>,
    queues: Queues,
    proof: Proof,
    /// Deliveries were lost on the way; until the router has said which queues lack messages, none is pushed.
    recounting: bool,
    /// No new work; the socket closes when what is in flight is answered.
    draining: bool,
}

impl Session {
    /// A session for a socket that was opened now.
    pub fn new(limits: SessionLimits, now_ms: u64) -> Self {
        Self {
            limits,
            last_heard_ms: now_ms,
            rate: Rate::default(),
            in_flight: 0,
            phase: Phase::New { since_ms: now_ms },
        }
    }

    /// Whether frames may be handed in now; otherwise they wait in the socket.
    pub fn wants_frames(&self) -> bool {
        self.in_flight < IN_FLIGHT_MAX
            && match &self.phase {
                Phase::New { .. } | Phase::LoggingIn { .. } => true,
                Phase::Live(live) => !live.draining,
                Phase::Closed => false,
            }
    }

    /// Whether deliveries may be handed in; before the login is answered they wait.
    pub fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live(_))
    }

    pub fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// When [`Session::tick`] is due at the latest if nothing happens, in Unix milliseconds.
    pub fn deadline_ms(&self) -> u64 {
        match self.phase {
            Phase::New { since_ms } | Phase::LoggingIn { since_ms, .. } => {
                since_ms.saturating_add(self.limits.login_limit_ms)
            }
            Phase::Live(_) => self.last_heard_ms.saturating_add(self.limits.idle_limit_ms),
            Phase::Closed => u64::MAX,
        }
    }

    /// When [`Session::settle`] has something to do at the latest if nothing happens, in Unix milliseconds; `u64::MAX` for
    /// nothing.
    pub fn proof_due_ms(&self) -> u64 {
        match &self.phase {
            Phase::Live(live) => live.proof.due_ms(),
            _ => u64::MAX,
        }
    }

    /// Time has passed: closes a socket that is past its deadline.
    pub fn tick(&mut self, now_ms: u64, out: &mut Vec<Command>) {
        if now_ms >= self.deadline_ms() {
            self.close(CloseReason::Idle, out);
        }
    }

    /// The region is told to stop this socket: it takes no more work and closes when what it took is answered.
    pub fn drain(&mut self, out: &mut Vec<Command>) {
        match &mut self.phase {
            Phase::Live(live) if self.in_flight > 0 => live.draining = true,
            _ => self.close(CloseReason::Restart, out),
        }
    }

    /// Ends the session and tells the client why, so that it does not come back by itself. `INFORMATION` is no kick:
    /// the client may come back.
    pub fn kick(&mut self, operation: Operation, detail: &str, now_ms: u64, out: &mut Vec<Command>) {
        if let Phase::Live(live) = &self.phase
            && operation != Operation::Information
        {
            out.push(Command::Send(codec::kick(&live.user, operation, detail, now_ms)));
        }
        self.close(CloseReason::Kicked, out);
    }

    /// Ends the session.
    pub fn close(&mut self, reason: CloseReason, out: &mut Vec<Command>) {
        if !self.is_closed() {
            self.phase = Phase::Closed;
            out.push(Command::Close(reason));
        }
    }

    /// Something that was started has its outcome.
    fn landed(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// To be called when all inputs that are ready were handed in, before their commands are carried out.
    pub fn settle(&mut self, now_ms: u64, out: &mut Vec<Command>) {
        if let Phase::Live(live) = &mut self.phase {
            live.proof.ask(now_ms, out);
            if live.draining && self.in_flight == 0 {
                self.close(CloseReason::Restart, out);
            }
        }
    }
}
