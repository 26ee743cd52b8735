//! One sender of direct messages.

use std::rc::Rc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::time::sleep_until;

use super::direct::{DRAIN_LIMIT, Run};
use super::socket::{Socket, lost};
use super::template::{SEQUENCE_MAX, Stamp, Template};
use super::wire;
use crate::Failure;

/// How soon a sender notices that the run is over.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How a sender decides when to send.
#[derive(Clone, Copy)]
pub(super) enum Pace {
    /// With exponentially distributed gaps around this one, whatever the server does.
    Open { mean_gap: Duration },
    /// So many messages on their way at any time, in all at most `messages`.
    Closed { window: u32, messages: u32 },
}

pub(super) struct Sender {
    run: Rc<Run>,
    socket: Socket,
    template: Template,
    pace: Pace,
    random: StdRng,
    /// When each message was meant to be sent, in nanoseconds of the run, by its sequence less one.
    intended_ns: Vec<u64>,
    acknowledged: usize,
    /// When the next message is meant to be sent.
    next: Instant,
}

impl Sender {
    pub(super) fn new(run: Rc<Run>, socket: Socket, template: Template, pace: Pace, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let next = Instant::now() + first_gap(pace, &mut random);
        Self { run, socket, template, pace, random, intended_ns: Vec::new(), acknowledged: 0, next }
    }

    /// Sends until it is stopped or has sent all, and until everything is acknowledged.
    pub(super) async fn run(mut self) -> Result<(), Failure> {
        let mut give_up_at = None;
        loop {
            let now = Instant::now();
            let done = self.is_done();
            if !done {
                self.queue_due(now);
            } else if self.acknowledged == self.intended_ns.len() {
                return Ok(());
            }
            self.socket.flush().await.map_err(lost)?;
            let wake_at = match (done, self.pace) {
                (true, _) => *give_up_at.get_or_insert(now + DRAIN_LIMIT),
                (false, Pace::Open { .. }) => self.next.min(now + LOOK_EVERY),
                (false, Pace::Closed { .. }) => now + LOOK_EVERY,
            };
            tokio::select! {
                filled = self.socket.fill() => {
                    filled.map_err(lost)?;
                    self.read()?;
                }
                () = sleep_until(wake_at.into()) => {
                    if done {
                        return Err(Failure::refused("messages were never acknowledged"));
                    }
                }
            }
        }
    }

    fn is_done(&self) -> bool {
        let all = match self.pace {
            Pace::Open { .. } => SEQUENCE_MAX,
            Pace::Closed { messages, .. } => messages,
        };
        self.run.stopped.get() || self.intended_ns.len() >= all as usize
    }

    fn queue_due(&mut self, now: Instant) {
        match self.pace {
            Pace::Open { mean_gap } => {
                while self.next <= now {
                    let at_ns = self.run.stats.borrow().ns(self.next);
                    self.queue(at_ns);
                    self.next += gap(mean_gap, &mut self.random);
                }
            }
            Pace::Closed { window, messages } => {
                let at_ns = self.run.stats.borrow().ns(now);
                let until = (self.acknowledged + window as usize).min(messages as usize);
                while self.intended_ns.len() < until {
                    self.queue(at_ns);
                }
            }
        }
    }

    fn queue(&mut self, intended_ns: u64) {
        self.intended_ns.push(intended_ns);
        let sequence = self.intended_ns.len() as u32;
        self.socket.queue_whole(self.template.stamped(Stamp { sequence, intended_ns }));
        self.run.stats.borrow_mut().sent += 1;
    }

    fn read(&mut self) -> Result<(), Failure> {
        let mut stats = self.run.stats.borrow_mut();
        let now_ns = stats.ns(Instant::now());
        while let Some(frame) = self.socket.next_frame().map_err(lost)? {
            let down =
                wire::read(frame, |_| {}).ok_or_else(|| Failure::refused("a frame is not understood"))?;
            let Some((client_id, code)) = down.ack else { continue };
            let intended_ns = self
                .template
                .sequence_of(client_id)
                .and_then(|sequence| self.intended_ns.get((sequence as usize).checked_sub(1)?))
                .ok_or_else(|| Failure::refused("a message was acknowledged that was never sent"))?;
            self.acknowledged += 1;
            match code {
                0 => stats.record_ack(*intended_ns, now_ns),
                _ => stats.refused += 1,
            }
        }
        Ok(())
    }
}

fn first_gap(pace: Pace, random: &mut StdRng) -> Duration {
    match pace {
        Pace::Open { mean_gap } => gap(mean_gap, random),
        Pace::Closed { .. } => Duration::ZERO,
    }
}

/// Gaps of this distribution make the arrivals of many independent users.
fn gap(mean: Duration, random: &mut StdRng) -> Duration {
    // One less a number below one is never zero.
    let uniform = 1.0 - random.random::<f64>();
    mean.mul_f64(-uniform.ln())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_have_their_mean_and_repeat_with_their_seed() {
        let mean = Duration::from_millis(10);
        let draw = |seed| {
            let mut random = StdRng::seed_from_u64(seed);
            (0..20_000).map(|_| gap(mean, &mut random)).sum::<Duration>()
        };
        assert_eq!(draw(1), draw(1));
        let average = draw(1).as_secs_f64() / 20_000.0;
        assert!((0.0097..0.0103).contains(&average), "{average}");
    }
}
