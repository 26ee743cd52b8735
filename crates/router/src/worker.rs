//! A lane's worker: it takes all that waits, makes one batch of it, and answers when the batch is durable.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bulkhead_api::path;
use bulkhead_model::{Error, ErrorKind, MessageId, Result, SLOT_COUNT};
use bulkhead_store::Mutation;
use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

use crate::channels::effect::Steps;
use crate::core::Core;
use crate::dedup::Claim;
use crate::fanout::{self, Fanout};
use crate::lane::{Lane, Release, State};
use crate::load;
use crate::log::{Batch, Place};
use crate::sequence::{SlotIds, timely};
use crate::slots::Ranges;
use crate::work::{Claimed, Task, Work, Written};

/// How often the last cursors are tried to be written at the end.
const LAST_FLUSHES_MAX: usize = 100;

pub(crate) struct Worker {
    pub(crate) core: Arc<Core>,
    pub(crate) lane: Arc<Lane>,
    pub(crate) queue: mpsc::Receiver<Work>,
    pub(crate) stop: CancellationToken,
    slots: Vec<SlotIds>,
    /// Ranges that were let go of once: a message of one that is not owned is for its next owner.
    let_go: Ranges,
    flush_every: Duration,
    flushed: Instant,
    waiting: metrics::Gauge,
    shown_waiting: usize,
}

impl Worker {
    pub(crate) fn new(
        core: Arc<Core>,
        lane: Arc<Lane>,
        queue: mpsc::Receiver<Work>,
        stop: CancellationToken,
    ) -> Self {
        let flush_every = Duration::from_millis(core.settings.flush_interval_ms);
        let slots = vec![SlotIds::default(); usize::from(SLOT_COUNT)];
        let waiting = metrics::gauge!("bulkhead_router_waiting_messages");
        Self {
            core,
            lane,
            queue,
            stop,
            slots,
            let_go: Ranges::default(),
            flush_every,
            flushed: Instant::now(),
            waiting,
            shown_waiting: 0,
        }
    }

    /// Returns when it was told to stop, its queue is empty, and what it knows is written.
    pub(crate) async fn run(mut self) {
        let batch_max = self.core.settings.batch_messages_max;
        let mut jobs = Vec::with_capacity(batch_max);
        let mut tick = interval(self.flush_every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stopping = false;
        // Messages that were queued before ranges are let go of, which are still this router's.
        let mut before_release = None;
        loop {
            if before_release == Some(0) {
                before_release = None;
                self.release().await;
            }
            let mut flush = false;
            tokio::select! {
                biased;
                () = self.stop.cancelled(), if !stopping => {
                    stopping = true;
                    self.queue.close();
                    continue;
                }
                () = self.lane.release.notified() => {
                    before_release = Some(self.queue.len());
                    continue;
                }
                taken = self.queue.recv_many(&mut jobs, batch_max) => {
                    if taken == 0 {
                        break;
                    }
                    self.show_waiting(taken + self.queue.len());
                }
                () = self.lane.flush.notified() => flush = true,
                _ = tick.tick() => flush = true,
            }
            flush |= self.flushed.elapsed() >= self.flush_every;
            before_release = before_release.map(|before: usize| before.saturating_sub(jobs.len()));
            self.guarded_batch(&mut jobs, flush).await;
            self.show_waiting(self.queue.len());
        }
        self.release().await;
        self.write_cursors(|state| state.has_unwritten()).await;
        self.lane.end();
    }

    /// Lets go of ranges, between two batches.
    async fn release(&mut self) {
        for Release { ranges, write, done } in self.lane.take_releases() {
            if write {
                self.write_cursors(|state| state.has_unwritten_of(ranges)).await;
            }
            self.lane.with(|state| {
                state.rosters.remove_where(|key| ranges.has_slot(key.slot()));
                state.forget(|key| ranges.has_slot(key.slot()), |key| ranges.has_slot(key.slot()));
            });
            self.let_go = self.let_go.with(ranges);
            // Whoever asked may have given up.
            let _ = done.send(());
        }
    }

    /// Writes moved cursors as long as there are any that `wanted` finds.
    async fn write_cursors(&mut self, wanted: impl Fn(&State) -> bool) {
        for _ in 0..LAST_FLUSHES_MAX {
            if !self.lane.with(|state| wanted(state)) {
                return;
            }
            if self.batch(&mut Vec::new(), true).await.is_err() {
                break;
            }
        }
        tracing::warn!("some cursors could not be written; their devices will be given messages again");
    }

    /// Adds this lane's messages that wait for a batch, or are in one, to those of the others.
    fn show_waiting(&mut self, waiting: usize) {
        self.waiting.increment(waiting as f64 - self.shown_waiting as f64);
        self.shown_waiting = waiting;
    }

    /// A batch that panics must not end its lane: its messages are answered `Unavailable` (their senders are dropped), and
    /// what the lane knew is read again. Other errors have been answered and logged.
    async fn guarded_batch(&mut self, jobs: &mut Vec<Work>, flush: bool) {
        let batch = AssertUnwindSafe(self.batch(jobs, flush)).catch_unwind();
        if batch.await.is_err() {
            tracing::error!("a batch panicked; its messages are not acknowledged");
            metrics::counter!("bulkhead_router_panics_total").increment(1);
            jobs.clear();
            self.lane.with(|state| state.forget_all());
            self.slots.iter_mut().for_each(SlotIds::doubt);
            self.lane.set_writing_since_ms(u64::MAX);
        }
    }

    async fn batch(&mut self, jobs: &mut Vec<Work>, flush: bool) -> Result<()> {
        let claimed = match self.claim(jobs).await {
            Ok(claimed) => claimed,
            Err(error) => {
                jobs.drain(..).for_each(|work| work.refuse(&error));
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

    /// Sorts out resends. On an error nothing has been claimed or answered.
    async fn claim(&self, works: &mut Vec<Work>) -> Result<Vec<Task>> {
        let comes_late =
            |work: &mut Work| self.let_go.has_slot(work.slot()) && !self.core.ownership.owns(work.slot());
        for late in works.extract_if(.., comes_late) {
            late.refuse(&ErrorKind::NotOwner.into());
        }
        let windows = self.under_lease(load::windows(&self.core, works)).await?;
        let mut tasks = Vec::with_capacity(works.len());
        for (work, window) in works.drain(..).zip(windows) {
            let mut job = match work {
                Work::Message(job) => job,
                Work::Change(job) => {
                    tasks.push(Task::Change(job));
                    continue;
                }
            };
            let (unused, _) = tokio::sync::oneshot::channel();
            let answer = std::mem::replace(&mut job.answer, unused);
            let Some(window) = window else {
                tasks.push(Task::Message(Claimed::new(job, answer, None)));
                continue;
            };
            let claim = window.lock().claim(job.client_id(), answer);
            if let Claim::Mine(answer, stored) = claim {
                job.stored = stored;
                tasks.push(Task::Message(Claimed::new(job, answer, Some(window))));
            }
        }
        Ok(tasks)
    }

    /// Judges, gives ids, writes, answers, delivers.
    async fn append(&mut self, tasks: Vec<Task>, flush: bool) -> Result<()> {
        let facts = match self.under_lease(load::facts(&self.core, &self.lane, &tasks)).await {
            Ok(facts) => facts,
            Err(error) => {
                tasks.into_iter().for_each(|task| task.refuse(error.clone()));
                return Err(error);
            }
        };
        let now_ms = self.core.sequencer.now_ms();
        let mut batch = Batch::new(facts, now_ms, tasks.len());
        let mut written = Vec::with_capacity(tasks.len());
        for task in tasks {
            let ids = &mut self.slots[usize::from(task.slot())];
            ids.begin_at(self.core.floor_of(task.slot()));
            match task {
                Task::Message(claimed) => match batch.add(&claimed.job, ids) {
                    Ok(Place::New(entry)) => written.push(Written::Message(claimed, entry)),
                    Ok(Place::Known(published)) => claimed.settle(Ok(published), false),
                    Err(error) => claimed.settle(Err(error), false),
                },
                Task::Change(job) => match batch.change_channel(&job, &mut ids.last) {
                    Ok(effect) => written.push(Written::Change(job, effect)),
                    Err(error) => drop(job.answer.send(Err(error))),
                },
            }
        }
        let mut mutations = batch.take_mutations();
        let flushing = flush.then(|| {
            self.flushed = Instant::now();
            self.lane.with(|state| state.take_unwritten(&mut mutations, |key| batch.writes(key)))
        });
        let span = batch_span(&written);
        let outcome = self.write(&written, mutations).instrument(span).await;
        self.lane.with(|state| {
            if let Some(flushing) = flushing {
                state.flushed(flushing, outcome.is_ok());
            }
            batch.finish(state, outcome.is_ok());
        });
        match &outcome {
            Ok(()) => self.complete(written).await,
            Err(error) => {
                tracing::error!(messages = written.len(), %error, "a batch could not be written");
                written.iter().for_each(|written| self.slots[usize::from(written.slot())].doubt());
                written.into_iter().for_each(|written| written.fail(error.clone()));
            }
        }
        outcome
    }

    /// Nothing is written or acknowledged but under the lease: see [`crate::slots`].
    async fn write(&self, written: &[Written], mutations: Vec<Mutation>) -> Result<()> {
        let lease = &self.core.member().lease;
        let generation = lease.generation();
        if let Some(highest) = written.iter().map(|written| MessageId(written.id()).unix_ms()).max() {
            self.core.sequencer.cover(highest).await?;
        }
        if mutations.is_empty() {
            return Ok(());
        }
        // The clock first: a pause between the two must not put the deadline behind the lease.
        let now_ms = self.core.sequencer.clock_ms();
        let left = lease.remaining().ok_or_else(lease_lost)?;
        // Whoever takes over begins after the lease; what was held up on its way does not land then any more.
        let deadline_ms = lease.length().map(|_| now_ms + left.as_millis() as u64);
        timely(left, self.core.write_until(mutations, deadline_ms)).await?;
        if lease.has_held_since(generation) { Ok(()) } else { Err(lease_lost()) }
    }

    /// What a batch reads is of no use after the lease. Whoever waits for the batch is told then, and asks the next owner.
    async fn under_lease<T>(&self, read: impl Future<Output = Result<T>>) -> Result<T> {
        let left = self.core.member().lease.remaining().ok_or_else(lease_lost)?;
        timely(left, read).await
    }

    async fn complete(&self, written: Vec<Written>) {
        if written.is_empty() {
            return;
        }
        metrics::counter!("bulkhead_router_published_total").increment(written.len() as u64);
        metrics::histogram!("bulkhead_router_batch_messages").record(written.len() as f64);
        let mut fanout = Fanout::new(&self.core);
        let mut steps = Steps::default();
        // Whoever joins is a member to the gateways before they are answered.
        let mut changed = Vec::new();
        for written in written {
            match written {
                Written::Message(claimed, entry) => {
                    steps.flush(&mut fanout);
                    fanout::deliver(&mut fanout, &claimed.job, &entry);
                    claimed.settle(Ok(entry.published()), false);
                }
                Written::Change(job, effect) => {
                    effect.steps.into_iter().for_each(|step| steps.add(&effect.key, &effect.app, step));
                    changed.push((job.answer, effect.changed));
                }
            }
        }
        steps.flush(&mut fanout);
        let frames = fanout.send();
        for (answer, changed) in changed {
            let _ = answer.send(Ok(changed));
        }
        self.core.others.tell(frames).await;
    }
}

/// The batch as part of the first of its messages that is traced.
fn batch_span(written: &[Written]) -> Span {
    let spans = written.iter().filter_map(|written| match written {
        Written::Message(claimed, _) => Some(&claimed.job.span),
        Written::Change(..) => None,
    });
    let traced = spans.into_iter().find(|span| !span.is_disabled());
    traced.map_or_else(Span::none, |span| path::batch(span, written.len()))
}

/// For clients no more than any outage; the log tells of the lease.
fn lease_lost() -> Error {
    ErrorKind::Unavailable.into()
}
