//! Whether a socket may have something to read.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Wake, Waker};

/// Tells a task that was woken for its socket from one that was woken for something else: a socket that has nothing is
/// not asked with every delivery.
pub(super) struct Readiness {
    state: Arc<State>,
    waker: Waker,
}

struct State {
    may_read: AtomicBool,
    /// That of the socket's task, which is one task from the first poll to the last.
    task: OnceLock<Waker>,
}

impl Wake for State {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.may_read.store(true, Ordering::SeqCst);
        if let Some(task) = self.task.get() {
            task.wake_by_ref();
        }
    }
}

impl Readiness {
    pub(super) fn new() -> Self {
        let state = Arc::new(State { may_read: AtomicBool::new(true), task: OnceLock::new() });
        Self { waker: Waker::from(Arc::clone(&state)), state }
    }

    /// Has the task of this context woken when there is something to read.
    pub(super) fn wakes(&self, context: &Context<'_>) {
        self.state.task.get_or_init(|| context.waker().clone());
    }

    pub(super) fn may_read(&self) -> bool {
        self.state.may_read.load(Ordering::SeqCst)
    }

    /// What the socket is to be polled with, until it is pending.
    pub(super) fn context(&self) -> Context<'_> {
        Context::from_waker(&self.waker)
    }

    /// To be called before each poll: what becomes ready after it is seen again.
    pub(super) fn begin(&self) {
        self.state.may_read.store(false, Ordering::SeqCst);
    }

    /// The poll gave something, so that there may be more.
    pub(super) fn goes_on(&self) {
        self.state.may_read.store(true, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counter(std::sync::atomic::AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_socket_that_is_ready_wakes_its_task_and_is_asked_again() {
        let counter = Arc::new(Counter(std::sync::atomic::AtomicUsize::new(0)));
        let task = Waker::from(Arc::clone(&counter));
        let readiness = Readiness::new();
        assert!(readiness.may_read(), "a new socket is asked");
        readiness.wakes(&Context::from_waker(&task));
        readiness.begin();
        assert!(!readiness.may_read());
        readiness.context().waker().wake_by_ref();
        assert!(readiness.may_read());
        assert_eq!(counter.0.load(Ordering::SeqCst), 1);
        readiness.begin();
        readiness.goes_on();
        assert!(readiness.may_read());
    }
}
