//! The server's side of `Publish`: publishes are queued in the order in which they come, outcomes go back as they are
//! ready.

use std::sync::Arc;
use std::time::Duration;

use bulkhead_api::RouterApi;
use bulkhead_model::{ErrorKind, Result};
use bulkhead_proto::router::tagged_published::Outcome;
use bulkhead_proto::router::{
    Failure, PublishBatch, Published, PublishedBatch, TaggedPublish, TaggedPublished,
};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use crate::limits::{BATCH_ENTRIES_MAX, PENDING_PUBLISHES_MAX};
use crate::trace;

/// The name of the span of a publish.
const PUBLISH: &str = "/bulkhead.router.v1.Router/Publish";

/// Answers that wait for the transport.
const STREAM_MESSAGES_MAX: usize = 4;

/// How long a server that stops waits for answers.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

type Answers = mpsc::Sender<Result<PublishedBatch, Status>>;
type Waiting = FuturesUnordered<BoxFuture<'static, TaggedPublished>>;

/// Publishes what comes in and answers on the channel until the client ends its stream and has its answers, or is gone.
/// When `stop` is cancelled nothing more is taken, and what is answered within [`FLUSH_LIMIT`] still goes out: a router
/// that was drained before has every answer ready.
pub(super) fn answer_publishes(
    router: Arc<dyn RouterApi>,
    publishes: Streaming<PublishBatch>,
    stop: CancellationToken,
) -> mpsc::Receiver<Result<PublishedBatch, Status>> {
    let (answers, outcomes) = mpsc::channel(STREAM_MESSAGES_MAX);
    tokio::spawn(async move {
        let client = answers.clone();
        tokio::select! {
            () = client.closed() => {}
            () = run(router, publishes, answers, &stop) => {}
            () = async {
                stop.cancelled().await;
                tokio::time::sleep(FLUSH_LIMIT).await;
            } => {}
        }
    });
    outcomes
}

async fn run(
    router: Arc<dyn RouterApi>,
    mut publishes: Streaming<PublishBatch>,
    answers: Answers,
    stop: &CancellationToken,
) {
    let mut waiting = Waiting::new();
    let mut more_comes = true;
    while more_comes || !waiting.is_empty() {
        tokio::select! {
            () = stop.cancelled(), if more_comes => more_comes = false,
            // A client that has too many unanswered is not read until some are answered.
            batch = publishes.message(), if more_comes && waiting.len() < PENDING_PUBLISHES_MAX => match batch {
                Ok(Some(batch)) => publish_all(&*router, batch, &waiting),
                Ok(None) => more_comes = false,
                Err(status) => {
                    tracing::debug!(%status, "a publish stream broke");
                    return;
                }
            },
            Some(first) = waiting.next() => {
                let outcomes = gather_ready(first, &mut waiting);
                if answers.send(Ok(PublishedBatch { outcomes })).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Queues every publish of the batch, in order and without waiting in between.
fn publish_all(router: &dyn RouterApi, batch: PublishBatch, waiting: &Waiting) {
    for TaggedPublish { tag, publish, traceparent } in batch.publishes {
        // Ends when the message is queued: from there on the router has spans of its own.
        let span = trace::serve(PUBLISH, &traceparent);
        waiting.push(match publish {
            Some(publish) => span
                .in_scope(|| router.publish(publish))
                .wait()
                .map(move |outcome| tagged(tag, outcome))
                .boxed(),
            None => {
                let missing = ErrorKind::InvalidArgument.with("a publish is missing");
                std::future::ready(tagged(tag, Err(missing))).boxed()
            }
        });
    }
}

fn gather_ready(first: TaggedPublished, waiting: &mut Waiting) -> Vec<TaggedPublished> {
    let mut outcomes = vec![first];
    while outcomes.len() < BATCH_ENTRIES_MAX {
        match waiting.next().now_or_never() {
            Some(Some(outcome)) => outcomes.push(outcome),
            _ => break,
        }
    }
    outcomes
}

fn tagged(tag: u64, outcome: Result<Published>) -> TaggedPublished {
    let outcome = match outcome {
        Ok(published) => Outcome::Published(published),
        Err(error) => Outcome::Failure(Failure {
            kind: error.kind().name().to_owned(),
            message: error.message().to_owned(),
        }),
    };
    TaggedPublished { tag, outcome: Some(outcome) }
}
