//! What waits in a lane's queue, and what becomes of it in a batch.

use bulkhead_model::{AppUuid, Error, ErrorKind, Result};
use bulkhead_proto::router::Published;
use tokio::sync::mpsc;

use crate::channels::change::ChangeJob;
use crate::channels::effect::Effect;
use crate::dedup::{Answer, SharedWindow};
use crate::keys::{ClientId, SenderKey};
use crate::log::Entry;
use crate::publish::Job;

/// One piece of work for a lane.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are messages, and a box would be an allocation for each"
)]
pub(crate) enum Work {
    Message(Job),
    /// Of a group or room.
    Change(Box<ChangeJob>),
}

impl Work {
    pub(crate) fn slot(&self) -> u16 {
        match self {
            Work::Message(job) => job.slot,
            Work::Change(job) => job.slot,
        }
    }

    /// The message with its sender, if it is one to be de-duplicated.
    pub(crate) fn sender(&self) -> Option<(&Job, &SenderKey)> {
        match self {
            Work::Message(job) => job.sender.as_ref().map(|sender| (job, sender)),
            Work::Change(_) => None,
        }
    }

    pub(crate) fn refuse(self, error: &Error) {
        match self {
            Work::Message(job) => drop(job.answer.send(Err(error.clone()))),
            Work::Change(job) => drop(job.answer.send(Err(error.clone()))),
        }
    }
}

/// The lanes' queues, by number.
#[derive(Clone)]
pub(crate) struct Queues(std::sync::Arc<[mpsc::Sender<Work>]>);

impl Queues {
    pub(crate) fn new(queues: Vec<mpsc::Sender<Work>>) -> Self {
        Self(queues.into())
    }

    pub(crate) fn of(&self, lane_number: usize) -> &mpsc::Sender<Work> {
        &self.0[lane_number]
    }
}

/// A piece of work that the batch does: resends are sorted out.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are messages, and a box would be an allocation for each"
)]
pub(crate) enum Task {
    Message(Claimed),
    Change(Box<ChangeJob>),
}

impl Task {
    pub(crate) fn app(&self) -> AppUuid {
        match self {
            Task::Message(claimed) => claimed.job.app,
            Task::Change(job) => job.key.app(),
        }
    }

    pub(crate) fn slot(&self) -> u16 {
        match self {
            Task::Message(claimed) => claimed.job.slot,
            Task::Change(job) => job.slot,
        }
    }

    /// Ends it without its having had a place in the batch.
    pub(crate) fn refuse(self, error: Error) {
        match self {
            Task::Message(claimed) => claimed.settle(Err(error), false),
            Task::Change(job) => drop(job.answer.send(Err(error))),
        }
    }
}

/// A task that has its place in the batch.
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are messages, and a box would be an allocation for each"
)]
pub(crate) enum Written {
    Message(Claimed, Entry),
    Change(Box<ChangeJob>, Effect),
}

impl Written {
    pub(crate) fn slot(&self) -> u16 {
        match self {
            Written::Message(claimed, _) => claimed.job.slot,
            Written::Change(job, _) => job.slot,
        }
    }

    /// The highest id that was given for it.
    pub(crate) fn id(&self) -> u64 {
        match self {
            Written::Message(_, entry) => entry.id,
            Written::Change(_, effect) => effect.id,
        }
    }

    /// The batch failed; whether it was written all the same is not known.
    pub(crate) fn fail(self, error: Error) {
        match self {
            Written::Message(claimed, _) => claimed.settle(Err(error), true),
            Written::Change(job, _) => drop(job.answer.send(Err(error))),
        }
    }
}

/// A message whose client id is claimed, if it has one.
pub(crate) struct Claimed {
    pub(crate) job: Job,
    answer: Answer,
    claim: Option<HeldClaim>,
}

impl Claimed {
    /// `window` holds the claim.
    pub(crate) fn new(job: Job, answer: Answer, window: Option<SharedWindow>) -> Self {
        let client_id = job.client_id();
        let claim = window.map(|window| HeldClaim { window, client_id, settled: false });
        Self { job, answer, claim }
    }

    /// Answers the message and the resends that wait for it.
    pub(crate) fn settle(self, outcome: Result<Published>, in_doubt: bool) {
        if let Some(mut claim) = self.claim {
            // What the store had is known no more after a refusal.
            claim.settle(&outcome, in_doubt || (outcome.is_err() && self.job.stored.is_some()));
        }
        let _ = self.answer.send(outcome);
    }
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
