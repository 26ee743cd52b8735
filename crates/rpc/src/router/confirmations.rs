//! Proof of delivery comes from every session, with every few messages: a call for each would cost more than the message.
//! What comes within a moment goes in one.

use std::time::Duration;

use bulkhead_api::RouterApi;
use bulkhead_model::{ErrorKind, Result};
use bulkhead_proto::router::{ConfirmBatch, ConfirmOutcomes, ConfirmRequest, Failure, router_client};
use futures_util::stream::{self, StreamExt};
use tokio::sync::{mpsc, oneshot};
use tonic::Status;

use super::publisher::read_failure;
use crate::guard::RegionChannel;
use crate::limits::{BATCH_ENTRIES_MAX, CALL_LIMIT, PENDING_PUBLISHES_MAX};
use crate::unary;

/// How long the first of a batch waits for others. Nobody waits for a proof.
const GATHER: Duration = Duration::from_millis(5);

/// Confirmations of one batch that are taken at once.
const AT_ONCE: usize = 16;

/// The client's side.
pub(super) struct Confirmer {
    queue: mpsc::Sender<Queued>,
}

struct Queued {
    confirmation: ConfirmRequest,
    answer: oneshot::Sender<Result<()>>,
}

impl Confirmer {
    /// Starts the task, which ends when this is dropped.
    pub(super) fn start(grpc: router_client::RouterClient<RegionChannel>) -> Self {
        let (queue, queued) = mpsc::channel(PENDING_PUBLISHES_MAX);
        tokio::spawn(run(grpc, queued));
        Self { queue }
    }

    pub(super) async fn confirm(&self, confirmation: ConfirmRequest) -> Result<()> {
        let (answer, outcome) = oneshot::channel();
        if self.queue.try_send(Queued { confirmation, answer }).is_err() {
            return Err(ErrorKind::RateLimited.into());
        }
        outcome.await.unwrap_or_else(|_| Err(ErrorKind::Unavailable.into()))
    }
}

async fn run(mut grpc: router_client::RouterClient<RegionChannel>, mut queued: mpsc::Receiver<Queued>) {
    let mut batch = Vec::new();
    while queued.recv_many(&mut batch, BATCH_ENTRIES_MAX).await > 0 {
        tokio::time::sleep(GATHER).await;
        while batch.len() < BATCH_ENTRIES_MAX
            && let Ok(next) = queued.try_recv()
        {
            batch.push(next);
        }
        let (confirmations, answers): (Vec<_>, Vec<_>) =
            batch.drain(..).map(|Queued { confirmation, answer }| (confirmation, answer)).unzip();
        let called = unary::answer(CALL_LIMIT, grpc.confirm(ConfirmBatch { confirmations })).await;
        let mut outcomes = called.map(|answered| answered.outcomes.into_iter());
        for answer in answers {
            // A session that no longer waits does not mind.
            let _ = answer.send(match &mut outcomes {
                Ok(outcomes) => outcomes.next().map_or_else(|| Err(ErrorKind::Internal.into()), read),
                Err(error) => Err(error.clone()),
            });
        }
    }
}

fn read(outcome: Failure) -> Result<()> {
    if outcome.kind.is_empty() { Ok(()) } else { Err(read_failure(&outcome.kind, outcome.message)) }
}

/// The server's side.
pub(super) async fn answer(router: &dyn RouterApi, batch: ConfirmBatch) -> Result<ConfirmOutcomes, Status> {
    if batch.confirmations.len() > BATCH_ENTRIES_MAX {
        return Err(Status::invalid_argument("too many confirmations at once"));
    }
    let outcomes = stream::iter(batch.confirmations)
        .map(|confirmation| async {
            match router.confirm(confirmation).await {
                Ok(()) => Failure::default(),
                Err(error) => {
                    Failure { kind: error.kind().name().to_owned(), message: error.message().to_owned() }
                }
            }
        })
        .buffered(AT_ONCE);
    Ok(ConfirmOutcomes { outcomes: outcomes.collect().await })
}
