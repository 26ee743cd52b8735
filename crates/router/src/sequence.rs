//! The instants that ids are made of, and how far they have gone.
//!
//! The router's row has a ceiling: no id of a later millisecond has been given. Whoever takes its slots over starts above
//! it, so an id is never given twice, whatever the clock does in between. The ceiling runs a few seconds ahead of the ids
//! and is moved when they come near it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bulkhead_model::{Clock, ErrorKind, MessageId, Result};

use crate::slots::Member;

/// How far ahead of the ids the ceiling is moved. A crash puts the ids of its successor at most this far into the future.
const LEAD_MS: u64 = 4000;

/// The ids of one slot.
#[derive(Clone, Default)]
pub(crate) struct SlotIds {
    /// The last one that was given.
    pub(crate) last: MessageId,
    /// A message up to this one whose write was not acknowledged may be in the store in part, or come there late.
    doubtful: MessageId,
}

impl SlotIds {
    /// Earlier owners of the slot gave no id above `floor`.
    pub(crate) fn begin_at(&mut self, floor: MessageId) {
        self.last = self.last.max(floor);
        self.doubtful = self.doubtful.max(floor);
    }

    pub(crate) fn give(&mut self, now_ms: u64, slot: u16) -> MessageId {
        self.last = self.last.next(now_ms, slot);
        self.last
    }

    /// A write failed, and may land all the same.
    pub(crate) fn doubt(&mut self) {
        self.doubtful = self.last;
    }

    /// Up to which id a log may have rows of unfinished writes, if its end at `log_end` may be one of them or before them.
    pub(crate) fn doubtful_from(&self, log_end: u64) -> Option<u64> {
        (self.doubtful.0 >= log_end).then_some(self.doubtful.0)
    }
}

/// Gives the instants that ids are made of.
pub(crate) struct Sequencer {
    pub(crate) member: Member,
    clock: Arc<dyn Clock>,
    /// The latest instant that was read; never goes back, whatever the clock does.
    latest_ms: AtomicU64,
    given_ms: AtomicU64,
    extending: AtomicBool,
}

impl Sequencer {
    pub(crate) fn new(member: Member, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            member,
            clock,
            latest_ms: AtomicU64::new(0),
            given_ms: AtomicU64::new(0),
            extending: AtomicBool::new(false),
        })
    }

    /// Now, in Unix milliseconds; never before an earlier answer.
    pub(crate) fn now_ms(&self) -> u64 {
        let now_ms = self.clock.now_ms();
        self.latest_ms.fetch_max(now_ms, Ordering::SeqCst).max(now_ms)
    }

    /// What the clock shows, in Unix milliseconds, even if it was set back.
    pub(crate) fn clock_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// A lower bound of what [`Self::now_ms`] will answer.
    pub(crate) fn latest_ms(&self) -> u64 {
        self.latest_ms.load(Ordering::SeqCst)
    }

    /// The latest millisecond that an id was given of.
    pub(crate) fn given_ms(&self) -> u64 {
        self.given_ms.load(Ordering::Acquire)
    }

    /// The ceiling that a router begins with.
    pub(crate) fn first_ceiling_ms(&self) -> u64 {
        self.now_ms().max(self.given_ms()) + LEAD_MS
    }

    /// Returns when ids of this instant may be used. `Unavailable` when the lease is lost.
    pub(crate) async fn cover(self: &Arc<Self>, id_ms: u64) -> Result<()> {
        if self.member.lease.remaining().is_none() {
            return Err(ErrorKind::Unavailable.into());
        }
        if id_ms > self.member.ceiling_ms() {
            self.member.raise(id_ms, id_ms + LEAD_MS).await?;
        } else if id_ms + LEAD_MS / 2 > self.member.ceiling_ms()
            && !self.extending.swap(true, Ordering::AcqRel)
        {
            let sequencer = self.clone();
            tokio::spawn(async move {
                if let Err(error) = sequencer.member.raise(id_ms + LEAD_MS / 2, id_ms + LEAD_MS).await {
                    tracing::warn!(%error, "the ceiling of ids could not be moved ahead of time");
                }
                sequencer.extending.store(false, Ordering::Release);
            });
        }
        self.given_ms.fetch_max(id_ms, Ordering::AcqRel);
        Ok(())
    }
}

/// Waits for a call of another service, but not for ever.
pub(crate) async fn timely<T>(limit: Duration, call: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(limit, call).await.unwrap_or_else(|_| Err(ErrorKind::Timeout.into()))
}
