//! PROVISION: a client logs in (msync.md §2).

use bulkhead_model::{Error, ErrorKind};

use super::queues::{Behind, Entry, Queues};
use super::refusal::{LoginRefusal, login_refusal};
use super::{CloseReason, Command, Live, Phase, Session};
use crate::codec::{self, LoginRequest};
use crate::queue::Queue;

/// A login that succeeded.
pub struct LoggedIn {
    pub user: String,
    /// The device id that the client must use from now on.
    pub device: String,
    /// When the credential ends, in Unix milliseconds; 0 for never.
    pub expires_ms: u64,
    /// The queues in which the device lacks messages.
    pub behind: Vec<Queue>,
}

impl Session {
    /// A login frame.
    pub(super) fn log_in(&mut self, request: Box<LoginRequest>, now_ms: u64, out: &mut Vec<Command>) {
        match self.phase {
            Phase::New { since_ms } if request.is_legal() => {
                self.phase = Phase::LoggingIn { device: request.device.as_str().into(), since_ms };
                out.push(Command::Login(request));
            }
            Phase::New { .. } => {
                self.phase = Phase::LoggingIn { device: Box::default(), since_ms: now_ms };
                let error = ErrorKind::InvalidArgument.with("a login text is too long or not printable");
                self.logged_in(Err(error), out);
            }
            // A socket is one session of one user; a second login needs a second socket.
            _ => self.close(CloseReason::Policy, out),
        }
    }

    /// The outcome of [`Command::Login`].
    pub fn logged_in(&mut self, outcome: Result<LoggedIn, Error>, out: &mut Vec<Command>) {
        let Phase::LoggingIn { device, .. } = &self.phase else { return };
        match outcome {
            Ok(login) => {
                out.push(Command::Send(codec::logged_in(&login.device, login.expires_ms)));
                let mut queues = Queues::default();
                for queue in login.behind {
                    queues.add(Entry::behind(queue, Behind { since_login: true, ..Behind::default() }));
                }
                self.phase = Phase::Live(Box::new(Live {
                    user: login.user.into(),
                    device: login.device.into(),
                    queues,
                    proof: Default::default(),
                    recounting: false,
                    draining: false,
                }));
            }
            Err(error) => match login_refusal(&error) {
                LoginRefusal::Answer { code, reason } => {
                    out.push(Command::Send(codec::login_refused(device, code.into(), reason)));
                    self.close(CloseReason::Refused, out);
                }
                LoginRefusal::ComeBack => self.close(CloseReason::Unavailable, out),
            },
        }
    }
}
