use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// After so many calls the callers that have been quiet are forgotten.
const CALLS_BETWEEN_SWEEPS: u32 = 10_000;

/// How often each caller may call.
pub(crate) struct CallerRates {
    callers: DefaultKeyedRateLimiter<Arc<str>>,
    clock: DefaultClock,
    calls: AtomicU32,
}

impl CallerRates {
    /// `rate_per_s` calls of one caller a second, as many at once; 0 counts as 1.
    pub(crate) fn new(rate_per_s: u32) -> Self {
        let quota = Quota::per_second(NonZeroU32::new(rate_per_s).unwrap_or(NonZeroU32::MIN));
        Self { callers: RateLimiter::keyed(quota), clock: DefaultClock::default(), calls: AtomicU32::new(0) }
    }

    /// Counts a call; how long to wait when it is one too many.
    pub(crate) fn check(&self, caller: &Arc<str>) -> Result<(), Duration> {
        if self.calls.fetch_add(1, Ordering::Relaxed) % CALLS_BETWEEN_SWEEPS == CALLS_BETWEEN_SWEEPS - 1 {
            self.callers.retain_recent();
            self.callers.shrink_to_fit();
        }
        self.callers.check_key(caller).map_err(|refused| refused.wait_time_from(self.clock.now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_over_its_rate_is_refused_and_another_is_not() {
        let rates = CallerRates::new(3);
        let (one, other): (Arc<str>, Arc<str>) = ("one".into(), "other".into());
        let refused = (0..20).filter_map(|_| rates.check(&one).err()).collect::<Vec<_>>();
        assert!(refused.len() >= 10, "{refused:?}");
        assert!(refused.iter().all(|wait| *wait <= Duration::from_secs(1)));
        assert!(rates.check(&other).is_ok());
    }
}
