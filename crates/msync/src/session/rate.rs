/// How often something may happen: so many times a second, and as many at once after a quiet second.
///
/// One number a session instead of a bucket and a timer: the instant, in microseconds, at which the next event would
/// be due at the steady rate; an event is within the rate while that instant is less than a second ahead.
#[derive(Default)]
pub(super) struct Rate {
    due_us: u64,
}

impl Rate {
    /// Counts one event. False when it is above the rate.
    pub(super) fn admit(&mut self, rate_per_s: u32, now_ms: u64) -> bool {
        let now_us = now_ms.saturating_mul(1000);
        let interval_us = 1_000_000 / u64::from(rate_per_s.max(1));
        let due_us = self.due_us.max(now_us) + interval_us;
        if due_us > now_us + 1_000_000 {
            return false;
        }
        self.due_us = due_us;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_s_worth_passes_at_once_and_then_the_rate() {
        let mut rate = Rate::default();
        assert_eq!((0..200).filter(|_| rate.admit(100, 1000)).count(), 100);
        assert!(!rate.admit(100, 1009));
        assert!(rate.admit(100, 1010));
        assert!(!rate.admit(100, 1010));
        assert_eq!((0..200).filter(|_| rate.admit(100, 60_000)).count(), 100);
    }
}
