//! Who gives ids, and up to which instant.
//!
//! The row of `routers` holds a ceiling: no id of a later millisecond has been given. Whoever takes over starts above it,
//! so an id is never given twice, whatever the clock does in between. The ceiling runs a few seconds ahead of the ids and
//! is moved when they come near it, not on a timer: an idle router writes nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bulkhead_model::{Clock, Error, ErrorKind, Result};
use bulkhead_proto::records;
use bulkhead_store::{RowKey, Scope, Store, tables};
use bytes::Bytes;
use prost::Message;
use tokio::sync::Mutex;

/// How far ahead of the ids the ceiling is moved. A crash puts the ids of its successor at most this far into the future.
const LEAD_MS: u64 = 4000;

const TAKE_OVER_ATTEMPTS_MAX: usize = 5;

/// Gives the instants that ids are made of.
pub(crate) struct Sequencer {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    epoch: u64,
    call_timeout: Duration,
    /// The latest instant that was read; never goes back, whatever the clock does.
    latest_ms: AtomicU64,
    ceiling_ms: AtomicU64,
    given_ms: AtomicU64,
    /// The value of the row, held while it is changed.
    row: Mutex<Bytes>,
    extending: AtomicBool,
    lost: AtomicBool,
}

impl Sequencer {
    /// Becomes the one that gives ids. `Conflict` when others keep taking over at the same time.
    pub(crate) async fn take_over(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        call_timeout: Duration,
    ) -> Result<Arc<Self>> {
        for _ in 0..TAKE_OVER_ATTEMPTS_MAX {
            let current = timely(call_timeout, store.get(row_key())).await?;
            let before = decode(current.as_ref())?;
            let start_ms = clock.now_ms().max(before.ceiling_ms + 1);
            let mine = records::Sequencer { epoch: before.epoch + 1, ceiling_ms: start_ms + LEAD_MS };
            let value = Bytes::from(mine.encode_to_vec());
            if timely(call_timeout, store.compare_and_set(row_key(), current, value.clone())).await? {
                return Ok(Arc::new(Self {
                    store,
                    clock,
                    epoch: mine.epoch,
                    call_timeout,
                    latest_ms: AtomicU64::new(start_ms),
                    ceiling_ms: AtomicU64::new(mine.ceiling_ms),
                    given_ms: AtomicU64::new(before.ceiling_ms),
                    row: Mutex::new(value),
                    extending: AtomicBool::new(false),
                    lost: AtomicBool::new(false),
                }));
            }
        }
        Err(ErrorKind::Conflict.with("another router is taking over"))
    }

    /// Now, in Unix milliseconds; never before an earlier answer, nor before an id that an earlier owner gave.
    pub(crate) fn now_ms(&self) -> u64 {
        let now_ms = self.clock.now_ms();
        self.latest_ms.fetch_max(now_ms, Ordering::SeqCst).max(now_ms)
    }

    /// A lower bound of what [`Self::now_ms`] will answer.
    pub(crate) fn latest_ms(&self) -> u64 {
        self.latest_ms.load(Ordering::SeqCst)
    }

    /// Returns when ids of this instant may be used. `Unavailable` when another router has taken over.
    pub(crate) async fn cover(self: &Arc<Self>, id_ms: u64) -> Result<()> {
        if self.lost.load(Ordering::Acquire) {
            return Err(taken_over());
        }
        if id_ms > self.ceiling_ms.load(Ordering::Acquire) {
            self.extend(id_ms, id_ms + LEAD_MS).await?;
        } else if id_ms + LEAD_MS / 2 > self.ceiling_ms.load(Ordering::Acquire)
            && !self.extending.swap(true, Ordering::AcqRel)
        {
            let sequencer = self.clone();
            tokio::spawn(async move {
                if let Err(error) = sequencer.extend(id_ms + LEAD_MS / 2, id_ms + LEAD_MS).await {
                    tracing::warn!(%error, "the ceiling of ids could not be moved ahead of time");
                }
                sequencer.extending.store(false, Ordering::Release);
            });
        }
        self.given_ms.fetch_max(id_ms, Ordering::AcqRel);
        Ok(())
    }

    /// Lowers the ceiling to what was given, so that a successor starts without a gap. No id may be given afterwards.
    pub(crate) async fn finish(&self) -> Result<()> {
        let mut row = self.row.lock().await;
        if self.lost.swap(true, Ordering::AcqRel) {
            return Err(taken_over());
        }
        let ceiling_ms = self.given_ms.load(Ordering::Acquire);
        self.replace(&mut row, ceiling_ms).await
    }

    /// Moves the ceiling to `to_ms` unless it is at `wanted_ms` already.
    async fn extend(&self, wanted_ms: u64, to_ms: u64) -> Result<()> {
        let mut row = self.row.lock().await;
        if self.lost.load(Ordering::Acquire) {
            return Err(taken_over());
        }
        if wanted_ms > self.ceiling_ms.load(Ordering::Acquire) {
            self.replace(&mut row, to_ms).await?;
        }
        Ok(())
    }

    async fn replace(&self, row: &mut Bytes, ceiling_ms: u64) -> Result<()> {
        let value = Bytes::from(records::Sequencer { epoch: self.epoch, ceiling_ms }.encode_to_vec());
        let change = self.store.compare_and_set(row_key(), Some(row.clone()), value.clone());
        if timely(self.call_timeout, change).await? {
            *row = value;
            self.ceiling_ms.store(ceiling_ms, Ordering::Release);
            return Ok(());
        }
        // Either somebody else owns the ids now, or an earlier change took effect although its answer was lost.
        let found = timely(self.call_timeout, self.store.get(row_key())).await?;
        let current = decode(found.as_ref())?;
        if current.epoch != self.epoch {
            self.lost.store(true, Ordering::Release);
            tracing::error!(epoch = self.epoch, current = current.epoch, "another router has taken over");
            return Err(taken_over());
        }
        *row = found.unwrap_or_default();
        Err(ErrorKind::Unavailable.into())
    }
}

/// Waits for a call of another service, but not for ever.
pub(crate) async fn timely<T>(limit: Duration, call: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(limit, call).await.unwrap_or_else(|_| Err(ErrorKind::Timeout.into()))
}

fn row_key() -> RowKey {
    RowKey {
        table: &tables::ROUTERS,
        scope: Scope::Region,
        partition: Bytes::from_static(b"routers"),
        clustering: Bytes::from_static(b"0-1023"),
    }
}

fn decode(value: Option<&Bytes>) -> Result<records::Sequencer> {
    let Some(value) = value else { return Ok(records::Sequencer::default()) };
    records::Sequencer::decode(value.clone())
        .map_err(|_| ErrorKind::Internal.with("the row of the sequencer is damaged"))
}

fn taken_over() -> Error {
    ErrorKind::Unavailable.with("another router has taken over")
}
