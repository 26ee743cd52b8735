//! One socket: hands the session what is ready, carries out what it commands, and writes it with one flush.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use bulkhead_api::PendingPublish;
use bulkhead_model::ErrorKind;
use bulkhead_msync::{CloseReason, Command, Join, LoggedIn, Publish, Queue, Session, SessionLimits};
use bulkhead_proto::router::{ConfirmRequest, JoinRequest, MemberRequest, PullRequest};
use bytes::Bytes;
use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::calls::{CALL_LIMIT, Calls, Outcome, within};
use super::login::{self, Client};
use super::meters::OpenSocket;
use super::outbox::{Event, Waiting};
use super::translate;
use crate::Gateway;

/// Frames that are taken before their answers are written.
const FRAMES_PER_TURN: usize = 64;

/// How long a publish may take; a client gives up after 15 s (msync.md §4).
const PUBLISH_LIMIT_MS: u64 = 14_000;

/// How long a client may leave no room for what is to be written to it.
const WRITE_LIMIT: Duration = Duration::from_secs(20);

/// How long a closed socket waits for its client to close too, so that the last frame is not lost to a reset.
const LINGER_LIMIT: Duration = Duration::from_secs(2);

/// How long a client that was kicked has to read that, before the socket is closed on it.
const KICK_LIMIT: Duration = Duration::from_secs(1);

/// A socket and its session. Small, because it is what an idle client costs.
pub(super) struct Connection {
    gateway: Arc<Gateway>,
    socket: WebSocket,
    session: Session,
    client: Option<Box<Client>>,
    /// What is published and not answered yet, in order: one worker answers one channel in order anyway, and a queue
    /// takes no allocation and one wake-up for a whole batch of answers.
    publishing: VecDeque<Publishing>,
    calls: Calls,
    /// One timer for all deadlines: set again when it fires, not with every frame.
    timer: Pin<Box<Sleep>>,
    /// The client has said that it goes, or was told to.
    went: bool,
    /// Resolves when there is no router for too long or this gateway stops; `None` once the session knows.
    abandoned: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    _open: OpenSocket,
}

struct Publishing {
    client_id: u64,
    to: Queue,
    since_ms: u64,
    pending: PendingPublish,
    /// Ends with the answer.
    _span: tracing::Span,
}

/// The socket is of no use any more.
struct Gone;

impl Connection {
    pub(super) fn new(gateway: Arc<Gateway>, socket: WebSocket) -> Self {
        let settings = &gateway.settings;
        let limits = SessionLimits {
            idle_limit_ms: settings.idle_limit_ms,
            login_limit_ms: settings.login_limit_ms,
            frame_rate_per_s: settings.frame_rate_per_s,
        };
        Self {
            socket,
            session: Session::new(limits, gateway.clock.now_ms()),
            client: None,
            publishing: VecDeque::new(),
            calls: Calls::default(),
            timer: Box::pin(tokio::time::sleep(Duration::from_millis(settings.login_limit_ms))),
            abandoned: Some(Box::pin(gateway.attachment.abandoned().cancelled_owned())),
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
            let turned = poll_fn(|context| self.poll_turn(context, &mut commands)).await;
            if turned.is_err() {
                return;
            }
            let closed = self.carry_out(&mut commands).await;
            if closed.is_err() {
                return;
            }
            // A burst must not leave its memory behind.
            commands.shrink_to(FRAMES_PER_TURN / 16);
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
    fn poll_turn(&mut self, context: &mut Context<'_>, out: &mut Vec<Command>) -> Poll<Result<(), Gone>> {
        let now_ms = self.gateway.clock.now_ms();
        // Taken before the outcomes are looked at and handed in after them: the router answers a sender before it
        // delivers what follows, so that no answer can be missing when its successor is handed in.
        let waiting = match &self.client {
            Some(client) if self.session.is_live() => client.registration.handle().outbox.take(context),
            _ => Waiting::default(),
        };
        let mut progress = self.poll_outcomes(context, now_ms, out);
        progress |= !waiting.events.is_empty() || waiting.overflowed;
        self.hand_in(waiting, now_ms, out);
        let frames = self.poll_frames(context, now_ms, out)?;
        progress |= frames > 0;
        if let Some(abandoned) = &mut self.abandoned
            && abandoned.poll_unpin(context).is_ready()
        {
            self.abandoned = None;
            self.session.drain(out);
        }
        self.poll_timer(context, now_ms, out);
        self.session.settle(now_ms, out);
        if progress || !out.is_empty() { Poll::Ready(Ok(())) } else { Poll::Pending }
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
                let queues = queues.map(|unread| translate::counts(unread.queues)).unwrap_or_default();
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

    fn poll_frames(
        &mut self,
        context: &mut Context<'_>,
        now_ms: u64,
        out: &mut Vec<Command>,
    ) -> Result<usize, Gone> {
        let mut frames = 0;
        while frames < FRAMES_PER_TURN && self.session.wants_frames() {
            let Poll::Ready(message) = self.socket.poll_next_unpin(context) else { break };
            frames += 1;
            match message {
                Some(Ok(Message::Binary(frame))) => self.session.frame(&frame, now_ms, out),
                Some(Ok(Message::Pong(payload))) => self.session.pong(&payload, now_ms, out),
                Some(Ok(Message::Ping(_))) => self.session.pinged(now_ms, out),
                Some(Ok(Message::Text(_))) => self.session.close(CloseReason::NotBinary, out),
                // The answer to a close is sent by reading on.
                Some(Ok(Message::Close(_))) => self.went = true,
                Some(Err(error)) if is_too_large(&error) => self.session.close(CloseReason::TooLarge, out),
                Some(Err(_)) | None => return Err(Gone),
            }
        }
        self.gateway.meters.frames_received.increment(frames as u64);
        Ok(frames)
    }

    fn poll_timer(&mut self, context: &mut Context<'_>, now_ms: u64, out: &mut Vec<Command>) {
        // A ping that is due at once is sent by settling.
        let proof_due_ms = self.session.proof_due_ms();
        if proof_due_ms > now_ms && proof_due_ms < u64::MAX {
            keep_within(self.timer.as_mut(), proof_due_ms - now_ms);
        }
        while self.timer.as_mut().poll(context).is_ready() {
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
            // Never at once: with a clock that stands still the deadline would be due again and again.
            let wait_ms = deadline_ms.saturating_sub(now_ms).clamp(1, 3_600_000);
            self.timer.as_mut().reset(Instant::now() + Duration::from_millis(wait_ms));
        }
    }

    // -------------------------------------------------------------------------------------------- what is commanded

    /// Carries out commands in order. `Err` when the socket is closed or of no use.
    async fn carry_out(&mut self, commands: &mut Vec<Command>) -> Result<(), Gone> {
        let mut sent = 0;
        let mut unflushed = false;
        for command in commands.drain(..) {
            match command {
                Command::Send(frame) => {
                    sent += 1;
                    unflushed = true;
                    feed(&mut self.socket, Message::Binary(frame)).await?;
                }
                Command::Ping(payload) => {
                    unflushed = true;
                    feed(&mut self.socket, Message::Ping(Bytes::copy_from_slice(&payload))).await?;
                }
                Command::Login(request) => {
                    let admission = login::admit(Arc::clone(&self.gateway), request);
                    self.calls.start(admission.map(Outcome::Login));
                }
                Command::Close(reason) => {
                    self.went |= matches!(reason, CloseReason::LoggedOut | CloseReason::Kicked);
                    self.gateway.meters.frames_sent.increment(sent);
                    Box::pin(close(&mut self.socket, reason)).await;
                    return Err(Gone);
                }
                command => {
                    // The session commands these only when it is live.
                    let Some(client) = &self.client else { continue };
                    match command {
                        Command::Publish(publish) => {
                            publish_one(&self.gateway, client, *publish, &mut self.publishing);
                            keep_within(self.timer.as_mut(), PUBLISH_LIMIT_MS);
                        }
                        command => start_call(&self.gateway, client, command, &mut self.calls),
                    }
                }
            }
        }
        self.gateway.meters.frames_sent.increment(sent);
        if unflushed { patiently(self.socket.flush()).await } else { Ok(()) }
    }
}

fn publish_one(gateway: &Gateway, client: &Client, publish: Publish, publishing: &mut VecDeque<Publishing>) {
    let (client_id, to) = (publish.client_id, publish.to.clone());
    let request = translate::publish(publish, client.app(), client.user(), client.device());
    let span = bulkhead_api::path::begin();
    let pending = span.in_scope(|| gateway.router.publish(request));
    publishing.push_back(Publishing {
        client_id,
        to,
        since_ms: gateway.clock.now_ms(),
        pending,
        _span: span,
    });
}

fn start_call(gateway: &Arc<Gateway>, client: &Client, command: Command, calls: &mut Calls) {
    let router = Arc::clone(&gateway.router);
    let session = client.session();
    match command {
        Command::Unread => {
            calls.start(async move { Outcome::Unread(within(CALL_LIMIT, router.unread(session)).await) });
        }
        Command::Recount => {
            calls.start(async move { Outcome::Recount(within(CALL_LIMIT, router.unread(session)).await) });
        }
        Command::Pull { queue, key } => calls.start(async move {
            let request =
                PullRequest { session: Some(session), queue: Some(translate::router_queue(&queue)), key };
            let page = within(CALL_LIMIT, router.pull(request)).await;
            Outcome::Page(queue, page)
        }),
        Command::Confirm(positions) => calls.start(async move {
            let positions = translate::positions(&positions);
            let request = ConfirmRequest { session: Some(session), positions };
            if let Err(error) = within(CALL_LIMIT, router.confirm(request)).await {
                tracing::debug!(%error, "a proof of delivery was not taken");
            }
            Outcome::Confirmed
        }),
        Command::Join(join) => calls.start(async move {
            let Join { client_id, room, ext, leave_other_rooms } = *join;
            let request = JoinRequest {
                app: session.app,
                channel: Some(translate::router_queue(&room)),
                user: session.user,
                device: session.device,
                ext,
                leave_other_rooms,
            };
            Outcome::Joined(client_id, room, within(CALL_LIMIT, router.join(request)).await)
        }),
        Command::Leave { client_id, room } => calls.start(async move {
            let request = MemberRequest {
                app: session.app,
                channel: Some(translate::router_queue(&room)),
                user: session.user,
                device: session.device,
            };
            Outcome::Left(client_id, room, within(CALL_LIMIT, router.leave(request)).await)
        }),
        Command::Send(_) | Command::Ping(_) | Command::Login(_) | Command::Publish(_) | Command::Close(_) => {
        }
    }
}

/// Has the timer fire within this time at the latest. While there is something to watch this moves it once in as long.
fn keep_within(mut timer: Pin<&mut Sleep>, limit_ms: u64) {
    let latest = Instant::now() + Duration::from_millis(limit_ms);
    if timer.deadline() > latest {
        timer.as_mut().reset(latest);
    }
}

async fn feed(socket: &mut WebSocket, message: Message) -> Result<(), Gone> {
    patiently(socket.feed(message)).await
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

async fn close(socket: &mut WebSocket, reason: CloseReason) {
    let frame = CloseFrame { code: reason.code(), reason: "".into() };
    if reason == CloseReason::Kicked {
        // The client gets the time to read the kick. A close on its heels is taken for a lost connection, and the client
        // comes back; one that closes by itself ends the wait, and one that reads nothing is not waited for longer.
        let reading = async {
            if socket.flush().await.is_ok() {
                while let Some(Ok(_)) = socket.next().await {}
            }
        };
        let _ = Box::pin(tokio::time::timeout(KICK_LIMIT, reading)).await;
    }
    let closing = async {
        if socket.send(Message::Close(Some(frame))).await.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    let _ = tokio::time::timeout(LINGER_LIMIT, closing).await;
}

/// Whether a frame or message was over its limit, for which axum has no kind of its own.
fn is_too_large(error: &axum::Error) -> bool {
    error.to_string().contains("too long") || error.to_string().contains("too big")
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
