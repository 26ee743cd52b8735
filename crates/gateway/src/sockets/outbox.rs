use std::sync::{Arc, OnceLock};
use std::task::{Context, Waker};

use bulkhead_msync::Delivery;
use bulkhead_msync::proto::statistics_body::Operation;
use parking_lot::Mutex;
use smallvec::SmallVec;

/// Most events that wait for one session, whatever their size.
const EVENTS_MAX: usize = 1024;

/// Events that wait without memory of their own: mostly there is one.
const EVENTS_INLINE: usize = 1;

/// What the router has for a session.
pub(super) enum Event {
    /// One message for all sessions of the user.
    Delivery(Arc<Delivery>),
    /// The end of the session.
    Kick { operation: Operation, detail: Box<str> },
    /// The router does not know the session any more: its client has to come again.
    Forgotten,
}

/// What waits for one session's socket to be free. Bounded: a message that does not fit is dropped, and the session is
/// told that one was.
pub(super) struct Outbox {
    bytes_max: usize,
    waiting: Mutex<Waiting>,
    /// That of the socket's task, which is one task from the first poll to the last.
    socket: OnceLock<Waker>,
}

/// What was taken out of an outbox.
#[derive(Default)]
pub(super) struct Waiting {
    pub(super) events: SmallVec<[Event; EVENTS_INLINE]>,
    /// Messages were dropped after these.
    pub(super) overflowed: bool,
    bytes: usize,
}

impl Outbox {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, waiting: Mutex::default(), socket: OnceLock::new() }
    }

    /// Takes in a message; one that is not for this session's device has no bytes that wait for its socket.
    pub(super) fn deliver(&self, delivery: Arc<Delivery>, is_for_device: bool) {
        {
            let mut waiting = self.waiting.lock();
            let bytes = waiting.bytes + if is_for_device { delivery.frame.len() } else { 0 };
            // Once one was dropped all that follow are, until the session knows.
            let fits =
                waiting.events.is_empty() || (bytes <= self.bytes_max && waiting.events.len() < EVENTS_MAX);
            if waiting.overflowed || !fits {
                waiting.overflowed = true;
            } else {
                waiting.bytes = bytes;
                waiting.events.push(Event::Delivery(delivery));
            }
        }
        self.wake();
    }

    /// Messages were lost before they came here: the session finds out which, as after an overflow.
    pub(super) fn lose(&self) {
        self.waiting.lock().overflowed = true;
        self.wake();
    }

    /// The end of a session always fits.
    pub(super) fn kick(&self, operation: Operation, detail: &str) {
        self.waiting.lock().events.push(Event::Kick { operation, detail: detail.into() });
        self.wake();
    }

    /// The session could not be kept at the router.
    pub(super) fn forget(&self) {
        self.waiting.lock().events.push(Event::Forgotten);
        self.wake();
    }

    /// Takes all that waits, and wakes the task when there is more.
    pub(super) fn take(&self, context: &Context<'_>) -> Waiting {
        self.socket.get_or_init(|| context.waker().clone());
        std::mem::take(&mut *self.waiting.lock())
    }

    fn wake(&self) {
        if let Some(socket) = self.socket.get() {
            socket.wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use bulkhead_msync::{Queue, QueueKind};
    use bytes::Bytes;

    use super::*;

    fn delivery(bytes: usize) -> Arc<Delivery> {
        Arc::new(Delivery {
            queue: Queue::new(QueueKind::Direct, "bob"),
            id: 1,
            previous_id: 0,
            transient: false,
            except_user: String::new(),
            except_device: String::new(),
            only_device: String::new(),
            only_users: Vec::new(),
            frame: Bytes::from(vec![0; bytes]),
        })
    }

    fn take(outbox: &Outbox) -> (usize, bool) {
        let waiting = outbox.take(&Context::from_waker(std::task::Waker::noop()));
        (waiting.events.len(), waiting.overflowed)
    }

    #[test]
    fn what_does_not_fit_is_dropped_until_the_session_knows() {
        let outbox = Outbox::new(100);
        outbox.deliver(delivery(60), true);
        outbox.deliver(delivery(60), false);
        outbox.deliver(delivery(40), true);
        outbox.deliver(delivery(1), true);
        outbox.kick(Operation::UserRemoved, "");
        outbox.deliver(delivery(1), true);
        assert_eq!(take(&outbox), (4, true));
        assert_eq!(take(&outbox), (0, false));
        outbox.deliver(delivery(1), true);
        assert_eq!(take(&outbox), (1, false));
    }

    #[test]
    fn one_message_always_fits_and_small_ones_are_bounded_by_number() {
        let outbox = Outbox::new(100);
        outbox.deliver(delivery(101), true);
        assert_eq!(take(&outbox), (1, false));
        (0..EVENTS_MAX + 1).for_each(|_| outbox.deliver(delivery(0), true));
        assert_eq!(take(&outbox), (EVENTS_MAX, true));
    }
}
