use std::collections::HashSet;

use bulkhead_bus::Topic;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

/// The topics whose subscription may not be as the holders want it, and who waits until it is.
#[derive(Default)]
pub(crate) struct Wishes {
    state: Mutex<State>,
    pub(crate) changed: Notify,
}

#[derive(Default)]
struct State {
    changed: HashSet<Topic>,
    waiting: Vec<oneshot::Sender<()>>,
    /// The subscriber is at work on what it took.
    working: bool,
    up: bool,
}

/// What the subscriber has to look at.
pub(crate) struct Changed {
    pub(crate) topics: HashSet<Topic>,
    /// Dropped or completed, they let the callers go on.
    pub(crate) waiting: Vec<oneshot::Sender<()>>,
}

impl Wishes {
    /// Notes that the topics have changed. Answers what completes when they, and all that changed before, are as wanted;
    /// `None` when there is nothing to wait for because all is done or the shard is away.
    pub(crate) fn note(&self, topics: Vec<Topic>) -> Option<oneshot::Receiver<()>> {
        let mut state = self.state.lock();
        state.changed.extend(topics);
        if !state.up || (state.changed.is_empty() && !state.working) {
            return None;
        }
        let (done, waiter) = oneshot::channel();
        state.waiting.push(done);
        drop(state);
        self.changed.notify_one();
        Some(waiter)
    }

    /// Takes what changed; `None` when all is done.
    pub(crate) fn take(&self) -> Option<Changed> {
        let mut state = self.state.lock();
        state.working = !state.changed.is_empty() || !state.waiting.is_empty();
        let state = &mut *state;
        state.working.then(|| Changed {
            topics: std::mem::take(&mut state.changed),
            waiting: std::mem::take(&mut state.waiting),
        })
    }

    /// Before everything that is wanted is subscribed anew: what changed until now is a part of that, and whoever comes
    /// meanwhile waits for it.
    pub(crate) fn begin(&self) {
        let mut state = self.state.lock();
        state.changed.clear();
        state.working = true;
    }

    /// From now on callers can wait.
    pub(crate) fn up(&self) {
        self.state.lock().up = true;
    }

    /// The shard is away: nobody waits for it. What changes is noted until [`Wishes::begin`].
    pub(crate) fn down(&self) {
        let mut state = self.state.lock();
        state.up = false;
        state.working = false;
        state.waiting.clear();
    }
}
