//! One socket: hands the session what is ready, carries out what it commands, and writes it with one flush.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bulkhead_model::ErrorKind;
use bulkhead_msync::{CloseReason, Command, LoggedIn, Session, SessionLimits};
use futures_util::FutureExt;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::alarm::Alarm;
use super::begin::{self, Publishing};
use super::calls::{Calls, Outcome};
use super::login::{self, Client};
use super::meters::OpenSocket;
use super::outbox::{Event, Waiting};
use super::readiness::Readiness;
use super::translate;
use super::wire::{Broken, Incoming, Outgoing, Wire};
use crate::Gateway;
use crate::attachment::Tenure;

/// Frames that are taken before their answers are written.
const FRAMES_PER_TURN: usize = 64;

/// How long a publish may take; a client gives up after 15 s (msync.md §4).
const PUBLISH_LIMIT_MS: u64 = 14_000;

/// How long a client may leave no room for what is to be written to it.
const WRITE_LIMIT: Duration = Duration::from_secs(20);

/// How long a closed socket waits for its client to close too, so that the last frame is not lost to a reset.
const LINGER_LIMIT: Duration = Duration::from_secs(2);

/// How long a client that was kicked has to read that, before the socket is closed on it. Nothing that it sends meanwhile is
/// looked at. With what it takes to find the session, less than the second within which a revocation closes sockets.
const KICK_LIMIT: Duration = Duration::from_millis(500);

/// A socket and its session. Small, because it is what an idle client costs.
pub(super) struct Connection {
    gateway: Arc<Gateway>,
    wire: Wire,
    readiness: Readiness,
    session: Session,
    client: Option<Box<Client>>,
    /// What is published and not answered yet, in order: one worker answers one channel in order anyway, and a queue
    /// takes no allocation and one wake-up for a whole batch of answers.
    publishing: VecDeque<Publishing>,
    calls: Calls,
    /// One for all deadlines.
    alarm: Alarm,
    /// The client has said that it goes, or was told to.
    went: bool,
    tenure: Arc<Tenure>,
    /// Wakes the task when the tenure ends. Looked at once: each look takes a lock that all sockets share.
    tenure_ends: Pin<Box<WaitForCancellationFutureOwned>>,
    listens: bool,
    _open: OpenSocket,
}

/// The socket is of no use any more.
struct Gone;

impl From<Broken> for Gone {
    fn from(Broken: Broken) -> Self {
        Self
    }
}

/// How a look at everything that may be ready ended.
#[derive(PartialEq, Eq)]
enum Turn {
    /// All was taken: what becomes ready from now on wakes the task.
    Exhausted,
    /// There may be more.
    Cut,
}

/// What carrying out commands came to.
#[derive(PartialEq, Eq)]
enum Done {
    /// Nothing but frames that were written.
    Written,
    /// Something was begun that nobody has looked at.
    Begun,
}

impl Connection {
    pub(super) fn new(gateway: Arc<Gateway>, wire: Wire) -> Self {
        let settings = &gateway.settings;
        let limits = SessionLimits {
            idle_limit_ms: settings.idle_limit_ms,
            login_limit_ms: settings.login_limit_ms,
            frame_rate_per_s: settings.frame_rate_per_s,
        };
        let tenure = gateway.attachment.tenure();
        Self {
            wire,
            readiness: Readiness::new(),
            session: Session::new(limits, gateway.clock.now_ms()),
            client: None,
            publishing: VecDeque::new(),
            calls: Calls::default(),
            alarm: Alarm::new(gateway.clock.now_ms(), settings.login_limit_ms),
            tenure_ends: Box::pin(tenure.ends()),
            tenure,
            listens: false,
            went: false,
            _open: OpenSocket::new(&gateway.meters),
            gateway,
        }
    }

    /// Runs until the socket is closed. A panic ends this socket only.
    pub(super) async fn run(mut self) {
        if AssertUnwindSafe(self.turn_until_closed()).catch_unwind().await.is_err() {
            tracing::error!("a socket ended by a defect");
        }
        // On the heap, like all that happens once: it would else be memory of every idle socket.
        Box::pin(self.leave()).await;
    }

    async fn turn_until_closed(&mut self) {
        let mut commands = Vec::new();
        loop {
            let Ok(turn) = poll_fn(|context| self.poll_turn(context, &mut commands)).await else { return };
            let mut polls = 0;
            let Ok(done) = ({
                let mut carrying = std::pin::pin!(self.carry_out(&mut commands));
                poll_fn(|context| {
                    polls += 1;
                    carrying.as_mut().poll(context)
                })
                .await
            }) else {
                return;
            };
            // A burst must not leave its memory behind.
            commands.shrink_to(FRAMES_PER_TURN / 16);
            // What became ready while the socket had no room has woken the task already.
            if turn == Turn::Exhausted && done == Done::Written && polls == 1 {
                // Nothing is ready, nothing new was begun, and whatever becomes ready wakes this task: to look again
                // before it does would cost every delivery as much again.
                woken().await;
            }
        }
    }

    /// Gives back what the session held elsewhere.
    async fn leave(&mut self) {
        if self.client.is_none() {
            // A login that is under way must come to its end, or the router would keep its session for ever.
            while let Some(outcome) = self.calls.next().await {
                if let Outcome::Login(Ok(admission)) = outcome {
                    self.client = Some(admission.client);
                }
            }
        }
        if let Some(client) = self.client.take() {
            client.close(&self.gateway, !self.went).await;
        }
    }

    // -------------------------------------------------------------------------------------------- what is ready

    /// Hands everything that is ready to the session. Pending when nothing was.
    fn poll_turn(&mut self, context: &mut Context<'_>, out: &mut Vec<Command>) -> Poll<Result<Turn, Gone>> {
        if !self.listens {
            self.listens = true;
            self.readiness.wakes(context);
            let _ = self.tenure_ends.poll_unpin(context);
        }
        let now_ms = self.gateway.clock.now_ms();
        // Taken before the outcomes are looked at and handed in after them: the router answers a sender before it
        // delivers what follows, so that no answer can be missing when its successor is handed in.
        let was_live = self.session.is_live();
        let waiting = match &self.client {
            Some(client) if was_live => client.registration.handle().outbox.take(context),
            _ => Waiting::default(),
        };
        let mut progress = self.poll_outcomes(context, now_ms, out);
        progress |= !waiting.events.is_empty() || waiting.overflowed;
        self.hand_in(waiting, now_ms, out);
        let frames = self.poll_frames(now_ms, out)?;
        progress |= frames > 0;
        if self.tenure.is_over() {
            self.session.drain(out);
        }
        self.poll_alarm(context, now_ms, out);
        self.session.settle(now_ms, out);
        // What waits for a session that is only now live was not taken.
        let is_exhausted = !self.readiness.may_read() && was_live == self.session.is_live();
        let turn = if is_exhausted { Turn::Exhausted } else { Turn::Cut };
        if progress || !out.is_empty() { Poll::Ready(Ok(turn)) } else { Poll::Pending }
    }

    fn poll_outcomes(&mut self, context: &mut Context<'_>, now_ms: u64, out: &mut Vec<Command>) -> bool {
        let mut progress = false;
        while let Some(first) = self.publishing.front_mut() {
            let Poll::Ready(outcome) = first.pending.poll_unpin(context) else { break };
            let outcome = outcome.map(translate::ack);
            self.session.published(first.client_id, &first.to, outcome, now_ms, out);
            self.publishing.pop_front();
            progress = true;
        }
        if self.publishing.is_empty() && self.publishing.capacity() > 0 && progress {
            self.publishing.shrink_to(8);
        }
        while let Some(outcome) = self.calls.poll_next(context) {
            self.land(outcome, now_ms, out);
            progress = true;
        }
        progress
    }

    fn land(&mut self, outcome: Outcome, now_ms: u64, out: &mut Vec<Command>) {
        match outcome {
            Outcome::Login(Ok(admission)) => {
                let logged_in = LoggedIn {
                    user: admission.client.user().to_owned(),
                    device: admission.client.device().to_owned(),
                    expires_ms: admission.expires_ms,
                    behind: admission.behind,
                };
                self.client = Some(admission.client);
                self.session.logged_in(Ok(logged_in), out);
            }
            Outcome::Login(Err(error)) => {
                tracing::debug!(%error, "a login was refused");
                self.session.logged_in(Err(error), out);
            }
            Outcome::Unread(queues) => {
                let queues = queues.ok().map(|unread| translate::counts(unread.queues));
                self.session.unread(queues, now_ms, out);
            }
            Outcome::Recount(queues) => {
                let queues = queues.ok().map(|unread| {
                    translate::counts(unread.queues).into_iter().map(|(queue, _)| queue).collect()
                });
                self.session.recounted(queues, out);
            }
            Outcome::Page(queue, page) => {
                self.session.page(&queue, page.map(translate::page), now_ms, out);
            }
            Outcome::Joined(client_id, room, joined) => {
                let facts = joined.map(translate::room_facts);
                self.session.joined(client_id, &room, facts, now_ms, out);
            }
            Outcome::Left(client_id, room, outcome) => {
                self.session.left(client_id, &room, outcome, now_ms, out);
            }
            Outcome::Confirmed => self.session.confirmed(out),
        }
    }

    fn hand_in(&mut self, waiting: Waiting, now_ms: u64, out: &mut Vec<Command>) {
        for event in waiting.events {
            match event {
                Event::Delivery(delivery) => self.session.deliver(&delivery, out),
                Event::Kick { operation, detail } => self.session.kick(operation, &detail, now_ms, out),
                Event::Forgotten => self.session.drain(out),
            }
        }
        if waiting.overflowed {
            self.session.overflowed(out);
        }
    }

    fn poll_frames(&mut self, now_ms: u64, out: &mut Vec<Command>) -> Result<usize, Gone> {
        let mut frames = 0;
        while self.readiness.may_read() && frames < FRAMES_PER_TURN && self.session.wants_frames() {
            self.readiness.begin();
            let polled = self.wire.poll_next(&mut self.readiness.context());
            let Poll::Ready(incoming) = polled else { break };
            self.readiness.goes_on();
            frames += 1;
            match incoming? {
                Incoming::Frame(frame) => self.session.frame(&frame, now_ms, out),
                Incoming::Pong(payload) => self.session.pong(&payload, now_ms, out),
                Incoming::Ping => self.session.pinged(now_ms, out),
                Incoming::Close => self.went = true,
                Incoming::NotBinary => self.session.close(CloseReason::NotBinary, out),
                Incoming::TooLarge => self.session.close(CloseReason::TooLarge, out),
            }
        }
        if frames > 0 {
            self.gateway.meters.frames_received.increment(frames as u64);
        }
        Ok(frames)
    }

    fn poll_alarm(&mut self, context: &mut Context<'_>, now_ms: u64, out: &mut Vec<Command>) {
        // A ping that is due at once is sent by settling.
        let proof_due_ms = self.session.proof_due_ms();
        if proof_due_ms > now_ms {
            self.alarm.keep_within(now_ms, proof_due_ms);
        }
        while self.alarm.poll(context) {
            self.session.tick(now_ms, out);
            while let Some(first) = self.publishing.front()
                && now_ms >= first.since_ms + PUBLISH_LIMIT_MS
            {
                // It may be in the log or not; a resend settles it.
                let outcome = Err(ErrorKind::Timeout.into());
                self.session.published(first.client_id, &first.to, outcome, now_ms, out);
                self.publishing.pop_front();
            }
            if self.session.is_closed() {
                return;
            }
            let publishing =
                self.publishing.front().map_or(u64::MAX, |first| first.since_ms + PUBLISH_LIMIT_MS);
            let proof_due_ms = Some(self.session.proof_due_ms()).filter(|due_ms| *due_ms > now_ms);
            let deadline_ms =
                self.session.deadline_ms().min(publishing).min(proof_due_ms.unwrap_or(u64::MAX));
            self.alarm.set(now_ms, deadline_ms);
        }
    }

    // -------------------------------------------------------------------------------------------- what is commanded

    /// Carries out commands in order. `Err` when the socket is closed or of no use.
    async fn carry_out(&mut self, commands: &mut Vec<Command>) -> Result<Done, Gone> {
        let mut sent = 0;
        let mut unflushed = false;
        let mut done = Done::Written;
        for command in commands.drain(..) {
            match command {
                Command::Send(frame) => {
                    sent += 1;
                    unflushed = true;
                    patiently(self.wire.feed(Outgoing::Frame(frame))).await?;
                }
                Command::Ping(payload) => {
                    unflushed = true;
                    patiently(self.wire.feed(Outgoing::Ping(payload))).await?;
                }
                Command::Login(request) => {
                    let admission = login::admit(Arc::clone(&self.gateway), request);
                    self.calls.start(admission.map(Outcome::Login));
                    done = Done::Begun;
                }
                Command::Close(reason) => {
                    self.went |= matches!(reason, CloseReason::LoggedOut | CloseReason::Kicked);
                    self.gateway.meters.frames_sent.increment(sent);
                    Box::pin(close(&mut self.wire, reason)).await;
                    return Err(Gone);
                }
                command => {
                    // The session commands these only when it is live.
                    let Some(client) = &self.client else { continue };
                    done = Done::Begun;
                    match command {
                        Command::Publish(publish) => {
                            begin::publish(&self.gateway, client, *publish, &mut self.publishing);
                            let now_ms = self.gateway.clock.now_ms();
                            self.alarm.keep_within(now_ms, now_ms + PUBLISH_LIMIT_MS);
                        }
                        command => begin::call(&self.gateway, client, command, &mut self.calls),
                    }
                }
            }
        }
        self.gateway.meters.frames_sent.increment(sent);
        if unflushed {
            patiently(self.wire.flush()).await?;
        }
        Ok(done)
    }
}

/// Returns when the task is polled again.
async fn woken() {
    let mut is_again = false;
    poll_fn(|_| if std::mem::replace(&mut is_again, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// Waits for room in the socket, but not for ever. Mostly there is some, and then no timer is made.
async fn patiently<E>(writing: impl Future<Output = Result<(), E>>) -> Result<(), Gone> {
    let mut writing = std::pin::pin!(writing);
    let first = poll_fn(|context| Poll::Ready(writing.as_mut().poll(context))).await;
    match first {
        Poll::Ready(written) => written.map_err(|_| Gone),
        // On the heap because it is rare.
        Poll::Pending => match Box::pin(tokio::time::timeout(WRITE_LIMIT, writing)).await {
            Ok(written) => written.map_err(|_| Gone),
            Err(_) => Err(Gone),
        },
    }
}

async fn close(wire: &mut Wire, reason: CloseReason) {
    if reason == CloseReason::Kicked {
        // The client gets the time to read the kick. A close on its heels is taken for a lost connection, and the client
        // comes back; one that closes by itself ends the wait, and one that reads nothing is not waited for longer.
        let reading = async {
            if wire.flush().await.is_ok() {
                while wire.next().await.is_ok() {}
            }
        };
        let _ = Box::pin(tokio::time::timeout(KICK_LIMIT, reading)).await;
    }
    let closing = async {
        if wire.feed(Outgoing::Close(reason.code())).await.is_ok() && wire.flush().await.is_ok() {
            while wire.next().await.is_ok() {}
        }
    };
    let _ = tokio::time::timeout(LINGER_LIMIT, closing).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_task<F: Future>(_: impl FnOnce(Connection) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn an_idle_socket_s_task_is_small() {
        let (connection, task) = (size_of::<Connection>(), size_of_task(Connection::run));
        assert!(connection <= 700, "a connection takes {connection} bytes");
        assert!(task <= 2048, "its task takes {task} bytes");
    }
}
