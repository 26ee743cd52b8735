//! A lane's worker: it takes all that waits, makes one batch of it, and answers when the batch is durable.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bulkhead_model::{Error, ErrorKind, MessageId, Result, SLOT_COUNT};
use bulkhead_proto::router::Published;
use bulkhead_store::Mutation;
use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::core::Core;
use crate::dedup::{Answer, Claim, SharedWindow};
use crate::fanout::{self, Fanout};
use crate::keys::ClientId;
use crate::lane::Lane;
use crate::load;
use crate::log::{Batch, Entry};
use crate::publish::Job;

/// How often the last cursors are tried to be written at the end.
const LAST_FLUSHES_MAX: usize = 100;

pub(crate) struct Worker {
    pub(crate) core: Arc<Core>,
    pub(crate) lane: Arc<Lane>,
    pub(crate) queue: mpsc::Receiver<Job>,
    pub(crate) stop: CancellationToken,
    last_ids: Vec<MessageId>,
    flush_every: Duration,
    flushed: Instant,
}

/// A message whose client id is claimed, if it has one.
pub(crate) struct Claimed {
    pub(crate) job: Job,
    answer: Answer,
    claim: Option<HeldClaim>,
}

/// A claimed client id. When it is dropped before it is settled, its outcome is unknown: resends that wait are refused,
/// and later ones ask the store.
struct HeldClaim {
    window: SharedWindow,
    client_id: ClientId,
    settled: bool,
}

impl HeldClaim {
    fn settle(&mut self, outcome: &Result<Published>, in_doubt: bool) {
        self.settled = true;
        let mut window = self.window.lock();
        window.settle(self.client_id, outcome);
        if in_doubt {
            window.doubt();
        }
    }
}

impl Drop for HeldClaim {
    fn drop(&mut self) {
        if !self.settled {
            self.settle(&Err(ErrorKind::Unavailable.into()), true);
        }
    }
}

impl Worker {
    pub(crate) fn new(
        core: Arc<Core>,
        lane: Arc<Lane>,
        queue: mpsc::Receiver<Job>,
        stop: CancellationToken,
    ) -> Self {
        let flush_every = Duration::from_millis(core.settings.flush_interval_ms);
        let last_ids = vec![MessageId(0); usize::from(SLOT_COUNT)];
        Self { core, lane, queue, stop, last_ids, flush_every, flushed: Instant::now() }
    }

    /// Returns when it was told to stop, its queue is empty, and what it knows is written.
    pub(crate) async fn run(mut self) {
        let batch_max = self.core.settings.batch_messages_max;
        let mut jobs = Vec::with_capacity(batch_max);
        let mut tick = interval(self.flush_every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stopping = false;
        loop {
            let mut flush = false;
            tokio::select! {
                biased;
                () = self.stop.cancelled(), if !stopping => {
                    stopping = true;
                    self.queue.close();
                    continue;
                }
                taken = self.queue.recv_many(&mut jobs, batch_max) => {
                    if taken == 0 {
                        break;
                    }
                }
                () = self.lane.flush.notified() => flush = true,
                _ = tick.tick() => flush = true,
            }
            flush |= self.flushed.elapsed() >= self.flush_every;
            self.guarded_batch(&mut jobs, flush).await;
        }
        for _ in 0..LAST_FLUSHES_MAX {
            if !self.lane.with(|state| state.has_unwritten()) {
                return;
            }
            if self.batch(&mut Vec::new(), true).await.is_err() {
                break;
            }
        }
        tracing::warn!("some cursors could not be written; their devices will be given messages again");
    }

    /// A batch that panics must not end its lane: its messages are answered `Unavailable` (their senders are dropped), and
    /// what the lane knew is read again. Other errors have been answered and logged.
    async fn guarded_batch(&mut self, jobs: &mut Vec<Job>, flush: bool) {
        let batch = AssertUnwindSafe(self.batch(jobs, flush)).catch_unwind();
        if batch.await.is_err() {
            tracing::error!("a batch panicked; its messages are not acknowledged");
            metrics::counter!("bulkhead_router_panics_total").increment(1);
            jobs.clear();
            self.lane.with(|state| state.forget(|_| true, |_| true));
            self.lane.set_writing_since_ms(u64::MAX);
        }
    }

    async fn batch(&mut self, jobs: &mut Vec<Job>, flush: bool) -> Result<()> {
        let claimed = match self.claim(jobs).await {
            Ok(claimed) => claimed,
            Err(error) => {
                refuse(jobs.drain(..).map(|job| job.answer), &error);
                Vec::new()
            }
        };
        if claimed.is_empty() && !flush {
            return Ok(());
        }
        // First the bound, then the instant: see `Core::settled_before_ms`.
        self.lane.set_writing_since_ms(self.core.sequencer.latest_ms());
        let outcome = self.append(claimed, flush).await;
        self.lane.set_writing_since_ms(u64::MAX);
        outcome
    }

    /// Sorts out resends. On an error no job has been claimed or answered.
    async fn claim(&self, jobs: &mut Vec<Job>) -> Result<Vec<Claimed>> {
        let windows = load::windows(&self.core, jobs).await?;
        let mut claimed = Vec::with_capacity(jobs.len());
        for (mut job, window) in jobs.drain(..).zip(windows) {
            let (unused, _) = tokio::sync::oneshot::channel();
            let answer = std::mem::replace(&mut job.answer, unused);
            let Some(window) = window else {
                claimed.push(Claimed { job, answer, claim: None });
                continue;
            };
            let client_id = job.client_id();
            let claim = window.lock().claim(client_id, answer);
            if let Claim::Mine(answer) = claim {
                let claim = Some(HeldClaim { window, client_id, settled: false });
                claimed.push(Claimed { job, answer, claim });
            }
        }
        Ok(claimed)
    }

    /// Judges, gives ids, writes, answers, delivers.
    async fn append(&mut self, claimed: Vec<Claimed>, flush: bool) -> Result<()> {
        let facts = match load::facts(&self.core, &self.lane, &claimed).await {
            Ok(facts) => facts,
            Err(error) => {
                claimed.into_iter().for_each(|claimed| settle(claimed, Err(error.clone()), false));
                return Err(error);
            }
        };
        let now_ms = self.core.sequencer.now_ms();
        let mut batch = Batch::new(facts, now_ms, claimed.len());
        let mut written = Vec::with_capacity(claimed.len());
        for claimed in claimed {
            let last_id = &mut self.last_ids[usize::from(claimed.job.slot)];
            match batch.add(&claimed.job, last_id) {
                Ok(entry) => written.push((claimed, entry)),
                Err(error) => settle(claimed, Err(error), false),
            }
        }
        let mut mutations = batch.take_mutations();
        let flushing = flush.then(|| {
            self.flushed = Instant::now();
            self.lane.with(|state| state.take_unwritten(&mut mutations, |key| batch.writes(key)))
        });
        let outcome = self.write(&written, mutations).await;
        self.lane.with(|state| {
            if let Some(flushing) = flushing {
                state.flushed(flushing, outcome.is_ok());
            }
            batch.finish(state, outcome.is_ok());
        });
        match &outcome {
            Ok(()) => self.complete(written),
            Err(error) => {
                tracing::error!(messages = written.len(), %error, "a batch could not be written");
                written.into_iter().for_each(|(claimed, _)| settle(claimed, Err(error.clone()), true));
            }
        }
        outcome
    }

    async fn write(&self, written: &[(Claimed, Entry)], mutations: Vec<Mutation>) -> Result<()> {
        if let Some(highest) = written.iter().map(|(_, entry)| MessageId(entry.id).unix_ms()).max() {
            self.core.sequencer.cover(highest).await?;
        }
        if mutations.is_empty() { Ok(()) } else { self.core.write(mutations).await }
    }

    fn complete(&self, written: Vec<(Claimed, Entry)>) {
        if written.is_empty() {
            return;
        }
        metrics::counter!("bulkhead_router_published_total").increment(written.len() as u64);
        metrics::histogram!("bulkhead_router_batch_messages").record(written.len() as f64);
        let mut fanout = Fanout::new(&self.core.sessions);
        for (claimed, entry) in written {
            fanout::deliver(&mut fanout, &claimed.job, &entry);
            settle(claimed, Ok(entry.published()), false);
        }
        fanout.send();
    }
}

/// Answers a message and the resends that wait for it.
fn settle(claimed: Claimed, outcome: Result<Published>, in_doubt: bool) {
    if let Some(mut claim) = claimed.claim {
        claim.settle(&outcome, in_doubt);
    }
    let _ = claimed.answer.send(outcome);
}

fn refuse(answers: impl Iterator<Item = Answer>, error: &Error) {
    for answer in answers {
        let _ = answer.send(Err(error.clone()));
    }
}
