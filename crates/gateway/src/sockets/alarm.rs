//! The one timer of a socket.

use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// Longest wait, in milliseconds: whoever set the clock far ahead is looked after all the same.
const WAIT_MS_MAX: u64 = 3_600_000;

/// Goes off at the earliest of the instants it was set for; set again when it goes off, not with every frame. Times are
/// Unix milliseconds.
pub(super) struct Alarm {
    sleep: Pin<Box<Sleep>>,
    due_ms: u64,
    /// The task is woken when it goes off.
    watched: bool,
}

impl Alarm {
    pub(super) fn new(now_ms: u64, wait_ms: u64) -> Self {
        Self {
            sleep: Box::pin(sleep(Duration::from_millis(wait_ms))),
            due_ms: now_ms.saturating_add(wait_ms),
            watched: false,
        }
    }

    /// Goes off at `due_ms`, unless it does earlier.
    pub(super) fn keep_within(&mut self, now_ms: u64, due_ms: u64) {
        if due_ms < self.due_ms {
            self.set(now_ms, due_ms);
        }
    }

    /// Goes off at `due_ms`, but never at once: with a clock that stands still it would be due again and again.
    pub(super) fn set(&mut self, now_ms: u64, due_ms: u64) {
        let wait_ms = due_ms.saturating_sub(now_ms).clamp(1, WAIT_MS_MAX);
        self.due_ms = now_ms.saturating_add(wait_ms);
        self.sleep.as_mut().reset(Instant::now() + Duration::from_millis(wait_ms));
        self.watched = false;
    }

    /// Whether it has gone off. Costs next to nothing while it is watched already.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> bool {
        if self.watched && !self.sleep.is_elapsed() {
            return false;
        }
        self.watched = self.sleep.as_mut().poll(context).is_pending();
        !self.watched
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use super::*;

    async fn rings(alarm: &mut Alarm) -> bool {
        let ringing = poll_fn(|context| if alarm.poll(context) { Poll::Ready(()) } else { Poll::Pending });
        tokio::time::timeout(Duration::from_secs(10), ringing).await.is_ok()
    }

    #[tokio::test]
    async fn an_alarm_goes_off_at_the_earliest_instant_it_was_set_for() {
        const FAR_MS: u64 = 2_000_000;
        let mut early = Alarm::new(1000, 5);
        early.keep_within(1000, FAR_MS);
        assert!(rings(&mut early).await);
        let mut late = Alarm::new(1000, FAR_MS);
        assert!(!late.poll(&mut Context::from_waker(std::task::Waker::noop())));
        late.keep_within(1000, 1005);
        assert!(rings(&mut late).await, "one that is watched already is set anew");
        late.set(1005, 1010);
        assert!(rings(&mut late).await);
    }

    #[tokio::test]
    async fn an_alarm_for_what_has_passed_goes_off_soon_but_not_at_once() {
        let mut alarm = Alarm::new(1000, 0);
        alarm.set(1000, 5);
        assert!(!alarm.poll(&mut Context::from_waker(std::task::Waker::noop())));
        assert!(rings(&mut alarm).await);
    }
}
