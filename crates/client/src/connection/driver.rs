//! The task that owns the socket.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bulkhead_model::Entropy;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::session::{Flow, Session};
use super::socket::{self, Socket};
use super::{Command, Login, Reconnect};
use crate::{ClientError, Event, RegionAddress};

/// A silence of the server for so long is answered with a keep-alive (msync.md §8).
const QUIET_LIMIT: Duration = Duration::from_secs(30);

/// After a silence of so long, keep-alives and all, the socket counts as gone.
const SILENT_LIMIT: Duration = Duration::from_secs(75);

/// How long writing what waits may take.
const WRITE_LIMIT: Duration = Duration::from_secs(10);

/// How long the last events wait for a program that does not read them.
const FAREWELL_LIMIT: Duration = Duration::from_secs(5);

const TICK: Duration = Duration::from_secs(1);

pub(super) struct Driver {
    pub(super) region: RegionAddress,
    pub(super) login: Login,
    pub(super) device: String,
    pub(super) reconnect: Option<Reconnect>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) session: Session,
}

/// Why a socket is done with.
enum End {
    /// No handle is left.
    Dropped,
    Kicked,
    Lost(String),
}

impl Driver {
    pub(super) async fn run(mut self, mut socket: Socket) {
        let reason = loop {
            self.session.begin(Instant::now());
            match self.converse(&mut socket).await {
                End::Dropped => {
                    // Told politely, not waited for.
                    let _ = timeout(TICK, socket::close(&mut socket)).await;
                    break "closed by this side".to_owned();
                }
                End::Kicked => break "the server ended the session".to_owned(),
                End::Lost(reason) => match self.connect_again(reason).await {
                    Ok(next) => socket = next,
                    Err(reason) => break reason,
                },
            }
        };
        self.session.fail_pending();
        self.session.events.push_back(Event::Disconnected { reason });
        let farewell = async {
            for event in std::mem::take(&mut self.session.events) {
                if self.events.send(event).await.is_err() {
                    return;
                }
            }
        };
        let _ = timeout(FAREWELL_LIMIT, farewell).await;
    }

    async fn converse(&mut self, socket: &mut Socket) -> End {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard_at = Instant::now();
        let mut asked_at = heard_at;
        loop {
            match timeout(WRITE_LIMIT, self.write_out(socket)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return End::Lost(error.to_string()),
                Err(_) => return End::Lost("the server does not take what is sent".to_owned()),
            }
            let events_wait = !self.session.events.is_empty();
            tokio::select! {
                permit = self.events.reserve(), if events_wait => match permit {
                    Ok(permit) => {
                        if let Some(event) = self.session.events.pop_front() {
                            permit.send(event);
                        }
                    }
                    // Nobody listens; sending still works.
                    Err(_) => self.session.events.clear(),
                },
                frame = socket::next(socket), if !events_wait => {
                    heard_at = Instant::now();
                    match frame {
                        Ok(None) => {}
                        Ok(Some(frame)) => match self.session.receive(frame) {
                            Ok(Flow::Continue) => {}
                            Ok(Flow::Kicked) => return End::Kicked,
                            Err(error) => return End::Lost(error.to_string()),
                        },
                        Err(error) => return End::Lost(error.to_string()),
                    }
                }
                command = self.commands.recv(), if self.session.has_room() => match command {
                    Some(command) => self.session.send(&command.outgoing, command.reply, Instant::now()),
                    None => return End::Dropped,
                },
                _ = tick.tick() => {
                    let now = Instant::now();
                    if events_wait {
                        // The socket was not read, so its silence means nothing.
                        heard_at = now;
                    }
                    if now.duration_since(heard_at) > SILENT_LIMIT || self.session.is_overdue(now) {
                        return End::Lost("the server does not answer".to_owned());
                    }
                    if now.duration_since(heard_at.max(asked_at)) > QUIET_LIMIT {
                        asked_at = now;
                        self.session.keep_alive();
                    }
                }
            }
        }
    }

    async fn write_out(&mut self, socket: &mut Socket) -> Result<(), ClientError> {
        while let Some(frame) = self.session.outbox.pop_front() {
            socket::send(socket, frame).await?;
        }
        Ok(())
    }

    /// A new socket, or the reason why there will be none.
    async fn connect_again(&mut self, lost: String) -> Result<Socket, String> {
        let Some(pace) = self.reconnect.clone() else { return Err(lost) };
        let mut reason = lost;
        for attempt in 1..=pace.attempts_max {
            self.session.events.push_back(Event::Reconnecting { attempt });
            if !self.wait(wait_before(attempt, &pace, self.entropy.next_u64())).await {
                return Err("closed by this side".to_owned());
            }
            match socket::open(&self.region, &self.login, &self.device).await {
                Ok(socket) => {
                    self.session.events.push_back(Event::Reconnected);
                    return Ok(socket);
                }
                Err(error) if error.is_final() => return Err(error.to_string()),
                Err(error) => reason = error.to_string(),
            }
        }
        Err(reason)
    }

    /// Waits while events are told and messages are taken; false when no handle is left.
    async fn wait(&mut self, wait: Duration) -> bool {
        let over = sleep(wait);
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => return true,
                permit = self.events.reserve(), if !self.session.events.is_empty() => match permit {
                    Ok(permit) => {
                        if let Some(event) = self.session.events.pop_front() {
                            permit.send(event);
                        }
                    }
                    Err(_) => self.session.events.clear(),
                },
                command = self.commands.recv(), if self.session.has_room() => match command {
                    Some(command) => self.session.send(&command.outgoing, command.reply, Instant::now()),
                    None => return false,
                },
            }
        }
    }
}

/// Twice the wait of the attempt before, of which a random part of the second half is taken away.
fn wait_before(attempt: u32, pace: &Reconnect, random: u64) -> Duration {
    let doubled = pace.first_wait.saturating_mul(2u32.saturating_pow(attempt - 1)).min(pace.wait_max);
    doubled / 2 + doubled.mul_f64((random % 1024) as f64 / 2048.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_its_limit_and_varies_by_half() {
        let pace = Reconnect {
            first_wait: Duration::from_secs(1),
            wait_max: Duration::from_secs(30),
            attempts_max: 9,
        };
        let bounds = |attempt| (wait_before(attempt, &pace, 0), wait_before(attempt, &pace, 1023));
        for (attempt, longest_s) in [(1, 1.0), (2, 2.0), (3, 4.0), (6, 30.0), (40, 30.0)] {
            let (least, most) = bounds(attempt);
            assert_eq!(least.as_secs_f64(), longest_s / 2.0);
            assert!(most.as_secs_f64() <= longest_s && most.as_secs_f64() > longest_s * 0.99);
        }
    }
}
