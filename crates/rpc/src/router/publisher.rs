//! The client's side of `Publish`: one long-lived stream per client, which carries what waits in batches.

use std::collections::{HashMap, VecDeque};
use std::ops::RangeInclusive;
use std::sync::Arc;

use bulkhead_api::PendingPublish;
use bulkhead_model::{Error, ErrorKind, Result};
use bulkhead_proto::router::tagged_published::Outcome;
use bulkhead_proto::router::{
    PublishBatch, PublishRequest, Published, PublishedBatch, TaggedPublish, TaggedPublished, router_client,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, interval};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::guard::RegionChannel;
use crate::limits::{BATCH_BYTES_TARGET, BATCH_ENTRIES_MAX, CALL_LIMIT, PENDING_PUBLISHES_MAX};
use crate::trace::traceparent;
use crate::unary::answer;

/// Batches that wait for the transport; what waits behind them is gathered into fewer, larger ones.
const STREAM_MESSAGES_MAX: usize = 4;

/// How often overdue answers are looked for.
const OVERDUE_INTERVAL: std::time::Duration = std::time::Duration::from_millis(500);

/// Queues publishes for the stream. The order of the queue is the order of the calls.
pub(super) struct Publisher {
    queue: mpsc::UnboundedSender<Queued>,
    room: Arc<Semaphore>,
}

struct Queued {
    publish: PublishRequest,
    /// Empty for a message that is not traced.
    traceparent: String,
    waiting: Waiting,
}

/// A caller that waits; counts against [`PENDING_PUBLISHES_MAX`] until it is answered.
struct Waiting {
    answer: oneshot::Sender<Result<Published>>,
    _room: OwnedSemaphorePermit,
}

impl Waiting {
    fn complete(self, outcome: Result<Published>) {
        // A caller that no longer waits does not mind.
        let _ = self.answer.send(outcome);
    }
}

impl Publisher {
    /// Starts the task, which ends when this is dropped.
    pub(super) fn start(grpc: router_client::RouterClient<RegionChannel>) -> Self {
        let (queue, queued) = mpsc::unbounded_channel();
        tokio::spawn(run(grpc, queued));
        Self { queue, room: Arc::new(Semaphore::new(PENDING_PUBLISHES_MAX)) }
    }

    /// Takes the publish's place in the order and returns at once.
    pub(super) fn publish(&self, publish: PublishRequest) -> PendingPublish {
        let Ok(room) = self.room.clone().try_acquire_owned() else {
            return PendingPublish::refused(ErrorKind::RateLimited.into());
        };
        let (answer, pending) = PendingPublish::new();
        // When the task is gone the sender is dropped with the message, which the caller sees as unavailable.
        let traceparent = traceparent().unwrap_or_default();
        let _ = self.queue.send(Queued { publish, traceparent, waiting: Waiting { answer, _room: room } });
        pending
    }
}

/// One stream after the other: each lives from a publish that needs it until it breaks.
async fn run(
    mut grpc: router_client::RouterClient<RegionChannel>,
    mut queued: mpsc::UnboundedReceiver<Queued>,
) {
    while let Some(first) = queued.recv().await {
        let (batches, outgoing) = mpsc::channel(STREAM_MESSAGES_MAX);
        match answer(CALL_LIMIT, grpc.publish(ReceiverStream::new(outgoing))).await {
            Ok(outcomes) => Stream::new(outcomes).carry(&batches, first, &mut queued).await,
            Err(error) => {
                // Everything that waits came while the router was out of reach, and fails with it.
                tracing::warn!(%error, "the router does not take publishes");
                first.waiting.complete(Err(error.clone()));
                while let Ok(next) = queued.try_recv() {
                    next.waiting.complete(Err(error.clone()));
                }
            }
        }
    }
}

/// An open stream and what was sent on it without an answer yet.
struct Stream {
    outcomes: Streaming<PublishedBatch>,
    unanswered: HashMap<u64, Waiting>,
    /// The tags of each batch that was sent, with the time by which they must be answered.
    due: VecDeque<(Instant, RangeInclusive<u64>)>,
    next_tag: u64,
}

impl Stream {
    fn new(outcomes: Streaming<PublishedBatch>) -> Self {
        Self { outcomes, unanswered: HashMap::new(), due: VecDeque::new(), next_tag: 1 }
    }

    /// Carries publishes until the stream breaks or the publisher is dropped; what is unanswered then fails.
    async fn carry(
        mut self,
        batches: &mpsc::Sender<PublishBatch>,
        first: Queued,
        queued: &mut mpsc::UnboundedReceiver<Queued>,
    ) {
        let mut overdue = interval(OVERDUE_INTERVAL);
        let mut first = Some(first);
        loop {
            tokio::select! {
                outcomes = self.outcomes.message() => match outcomes {
                    Ok(Some(batch)) => batch.outcomes.into_iter().for_each(|outcome| self.complete(outcome)),
                    Ok(None) => break,
                    Err(status) => {
                        tracing::warn!(code = ?status.code(), "the stream of publishes to the router broke");
                        break;
                    }
                },
                // Only a stream with room takes more, so that a batch grows while the transport is busy.
                next = next_batch(batches, &mut first, queued) => match next {
                    Next::Batch(room, batch) => {
                        let batch = self.tag(batch);
                        room.send(batch);
                    }
                    Next::StreamBroken => break,
                    Next::NoMore => return,
                },
                _ = overdue.tick() => self.fail_overdue(),
            }
        }
        for (_, waiting) in self.unanswered.drain() {
            waiting.complete(Err(ErrorKind::Unavailable.into()));
        }
    }

    fn tag(&mut self, batch: Vec<Queued>) -> PublishBatch {
        let first_tag = self.next_tag;
        let publishes = batch.into_iter().map(|Queued { publish, traceparent, waiting }| {
            let tag = self.next_tag;
            self.next_tag += 1;
            self.unanswered.insert(tag, waiting);
            TaggedPublish { tag, publish: Some(publish), traceparent }
        });
        let publishes = publishes.collect();
        self.due.push_back((Instant::now() + CALL_LIMIT, first_tag..=self.next_tag - 1));
        PublishBatch { publishes }
    }

    fn complete(&mut self, TaggedPublished { tag, outcome }: TaggedPublished) {
        // An answer to a publish that was overdue finds nobody.
        let Some(waiting) = self.unanswered.remove(&tag) else { return };
        waiting.complete(match outcome {
            Some(Outcome::Published(published)) => Ok(published),
            Some(Outcome::Failure(failure)) => Err(read_failure(&failure.kind, failure.message)),
            None => Err(ErrorKind::Internal.with("the router answered without an outcome")),
        });
    }

    fn fail_overdue(&mut self) {
        let now = Instant::now();
        while self.due.front().is_some_and(|(by, _)| *by <= now) {
            let Some((_, tags)) = self.due.pop_front() else { return };
            for waiting in tags.filter_map(|tag| self.unanswered.remove(&tag)) {
                waiting.complete(Err(ErrorKind::Timeout.into()));
            }
        }
    }
}

pub(super) fn read_failure(kind: &str, message: String) -> Error {
    match ErrorKind::from_name(kind) {
        Some(kind) => kind.with(message),
        None => ErrorKind::Internal.into(),
    }
}

/// Waits for room on the stream and for something to send, and takes all that waits. Nothing is lost when the wait is
/// given up: what is taken from the queue is returned without a further wait.
async fn next_batch<'a>(
    batches: &'a mpsc::Sender<PublishBatch>,
    first: &mut Option<Queued>,
    queued: &mut mpsc::UnboundedReceiver<Queued>,
) -> Next<'a> {
    let Ok(room) = batches.reserve().await else { return Next::StreamBroken };
    let head = match first.take() {
        Some(head) => head,
        None => match queued.recv().await {
            Some(head) => head,
            None => return Next::NoMore,
        },
    };
    let mut bytes = publish_bytes(&head);
    let mut batch = vec![head];
    while bytes < BATCH_BYTES_TARGET && batch.len() < BATCH_ENTRIES_MAX {
        let Ok(next) = queued.try_recv() else { break };
        bytes += publish_bytes(&next);
        batch.push(next);
    }
    Next::Batch(room, batch)
}

fn publish_bytes(queued: &Queued) -> usize {
    queued.publish.payload.len() + queued.publish.meta_ext.len()
}

enum Next<'a> {
    Batch(mpsc::Permit<'a, PublishBatch>, Vec<Queued>),
    StreamBroken,
    NoMore,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_batch_takes_all_that_waits_up_to_its_limits_and_keeps_the_order() {
        let room = Arc::new(Semaphore::new(PENDING_PUBLISHES_MAX));
        let (queue, mut queued) = mpsc::unbounded_channel();
        let push = |client_id: u64, payload: usize| {
            let publish =
                PublishRequest { client_id, payload: vec![0; payload].into(), ..Default::default() };
            let (answer, _) = PendingPublish::new();
            let waiting = Waiting { answer, _room: room.clone().try_acquire_owned().unwrap() };
            queue.send(Queued { publish, traceparent: String::new(), waiting }).unwrap();
        };
        for client_id in 0..=BATCH_ENTRIES_MAX as u64 {
            push(client_id, 1);
        }
        push(5000, BATCH_BYTES_TARGET);
        push(5001, 1);
        let (batches, _outgoing) = mpsc::channel(STREAM_MESSAGES_MAX);
        let mut ids = Vec::new();
        for _ in 0..3 {
            let Next::Batch(_, batch) = next_batch(&batches, &mut None, &mut queued).await else {
                panic!("there is something to send");
            };
            ids.push(batch.iter().map(|queued| queued.publish.client_id).collect::<Vec<_>>());
        }
        assert_eq!(ids[0], (0..BATCH_ENTRIES_MAX as u64).collect::<Vec<_>>());
        assert_eq!(ids[1], [BATCH_ENTRIES_MAX as u64, 5000]);
        assert_eq!(ids[2], [5001]);
    }
}
