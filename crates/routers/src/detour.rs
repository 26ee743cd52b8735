//! A message whose slot is on the move.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bulkhead_model::{Error, ErrorKind, Result, SLOT_RANGE_COUNT, range_of};
use bulkhead_proto::router::{PublishRequest, Published};
use tokio::time::Instant;

use crate::routers::Inner;

/// For how long a call looks for an owner that takes it: longer than a lease, shorter than a client waits.
const LOOK_LIMIT: Duration = Duration::from_secs(11);

/// Pause before the owner is looked for again if nothing is heard meanwhile.
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// The same when something was heard at once; doubles with every try.
const PAUSE_MIN: Duration = Duration::from_millis(1);

/// For each range of slots, how many messages are on a detour: those that come later must not overtake them.
pub(crate) struct Detours(Vec<AtomicU32>);

impl Detours {
    pub(crate) fn new() -> Self {
        Self((0..SLOT_RANGE_COUNT).map(|_| AtomicU32::new(0)).collect())
    }

    pub(crate) fn are_under_way(&self, slot: u16) -> bool {
        self.of(slot).load(Ordering::Acquire) > 0
    }

    fn of(&self, slot: u16) -> &AtomicU32 {
        &self.0[usize::from(range_of(slot))]
    }
}

/// A message on a detour; it ends when this is dropped.
pub(crate) struct Detour {
    inner: Arc<Inner>,
    slot: u16,
}

impl Detour {
    pub(crate) fn begin(inner: Arc<Inner>, slot: u16) -> Self {
        inner.detours.of(slot).fetch_add(1, Ordering::AcqRel);
        Self { inner, slot }
    }

    /// Publishes at whoever owns the slot by then.
    pub(crate) async fn publish(self, request: PublishRequest) -> Result<Published> {
        let can_repeat = can_repeat(&request);
        let mut search = Search::new(&self.inner);
        loop {
            let owner = search.owner(self.slot).await?;
            match owner.api.publish(request.clone()).wait().await {
                Err(error) if is_moved(&error) || (can_repeat && is_in_doubt(&error)) => {
                    search.again(error).await?;
                }
                outcome => return outcome,
            }
        }
    }
}

impl Drop for Detour {
    fn drop(&mut self) {
        self.inner.detours.of(self.slot).fetch_sub(1, Ordering::AcqRel);
    }
}

/// The way to an owner: bounded in time.
pub(crate) struct Search<'a> {
    inner: &'a Arc<Inner>,
    until: Instant,
    /// How long the next try waits at least: a router that has gone stays in the view for a while.
    pause: Duration,
}

impl<'a> Search<'a> {
    pub(crate) fn new(inner: &'a Arc<Inner>) -> Self {
        Self { inner, until: Instant::now() + LOOK_LIMIT, pause: PAUSE_MIN }
    }

    /// The owner of the slot, waited for while nobody owns it. `Unavailable` when the time is over.
    pub(crate) async fn owner(&mut self, slot: u16) -> Result<crate::view::Peer> {
        loop {
            if let Some(owner) = self.inner.view().owner(slot) {
                return Ok(owner.clone());
            }
            self.again(ErrorKind::Unavailable.into()).await?;
        }
    }

    /// Has the owners asked for and gives them a moment; answers `error` when the time is over.
    pub(crate) async fn again(&mut self, error: Error) -> Result<()> {
        if Instant::now() >= self.until {
            return Err(if is_moved(&error) { ErrorKind::Unavailable.into() } else { error });
        }
        tokio::join!(self.inner.look_again(LOOK_PAUSE), tokio::time::sleep(self.pause));
        self.pause = (self.pause * 2).min(LOOK_PAUSE);
        Ok(())
    }
}

/// Nothing was done: another router is the one.
pub(crate) fn is_moved(error: &Error) -> bool {
    error.kind() == ErrorKind::NotOwner
}

/// The router may have gone before or after it did what was asked.
pub(crate) fn is_in_doubt(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout)
}

/// Whether a router recognises the message if it comes twice.
pub(crate) fn can_repeat(request: &PublishRequest) -> bool {
    request.client_id != 0 && !request.from_device.is_empty()
}
