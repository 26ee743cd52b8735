//! Calls to the other services that run beside a socket, so that a slow service holds up no frame.

use std::time::Duration;

use bulkhead_model::{ErrorKind, Result};
use bulkhead_msync::Queue;
use bulkhead_proto::router::{Joined, Page, UnreadQueues};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};

use super::login::Admission;

/// How long a call may take.
pub(super) const CALL_LIMIT: Duration = Duration::from_secs(10);

/// What a call came to.
pub(super) enum Outcome {
    Login(Result<Admission>),
    Unread(Result<UnreadQueues>),
    Recount(Result<UnreadQueues>),
    Page(Queue, Result<Page>),
    Joined(u64, Queue, Result<Joined>),
    Left(u64, Queue, Result<()>),
    Confirmed,
}

/// The calls of one socket. Takes no memory while there are none.
#[derive(Default)]
pub(super) struct Calls(Option<Box<FuturesUnordered<BoxFuture<'static, Outcome>>>>);

impl Calls {
    pub(super) fn start(&mut self, call: impl Future<Output = Outcome> + Send + 'static) {
        self.0.get_or_insert_default().push(call.boxed());
    }

    /// An outcome that is there.
    pub(super) fn poll_next(&mut self, context: &mut std::task::Context<'_>) -> Option<Outcome> {
        let calls = self.0.as_mut()?;
        match calls.poll_next_unpin(context) {
            std::task::Poll::Ready(Some(outcome)) => Some(outcome),
            std::task::Poll::Ready(None) => {
                self.0 = None;
                None
            }
            std::task::Poll::Pending => None,
        }
    }

    /// Waits for the next outcome; `None` when there are no calls.
    pub(super) async fn next(&mut self) -> Option<Outcome> {
        self.0.as_mut()?.next().await
    }
}

/// Ends a call that takes too long as `Timeout`.
pub(super) async fn within<T>(limit: Duration, call: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(limit, call).await.unwrap_or_else(|_| Err(ErrorKind::Timeout.into()))
}
