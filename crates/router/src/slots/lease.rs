use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How much earlier than its lease ends a router stops, as a part of the lease: for clocks that do not run alike.
const MARGIN_PART: u32 = 10;

/// For how long this router may acknowledge.
pub(crate) struct Lease {
    origin: Instant,
    /// `None` for a router that no other can take over from.
    length: Option<Duration>,
    /// Milliseconds after `origin`.
    until_ms: AtomicU64,
    /// Changes when the lease is lost, so that work that began under it is known from later work.
    generation: AtomicU64,
}

impl Lease {
    /// A lease that is not held yet. `None` for one that never ends once it is held.
    pub(crate) fn new(length: Option<Duration>) -> Self {
        let generation = AtomicU64::new(0);
        Self { origin: Instant::now(), length, until_ms: AtomicU64::new(0), generation }
    }

    /// How long others wait before they take over.
    pub(crate) fn length(&self) -> Option<Duration> {
        self.length
    }

    /// The lease was renewed by a call that began at `since`.
    pub(crate) fn extend(&self, since: Instant) {
        let until_ms = match self.length {
            Some(length) => {
                let end = since.saturating_duration_since(self.origin) + length - length / MARGIN_PART;
                u64::try_from(end.as_millis()).unwrap_or(u64::MAX)
            }
            None => u64::MAX,
        };
        self.until_ms.fetch_max(until_ms, Ordering::SeqCst);
    }

    /// Another router has taken over, or this one has given up.
    pub(crate) fn lose(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.until_ms.store(0, Ordering::SeqCst);
    }

    /// What is left of it; `None` when it is over.
    pub(crate) fn remaining(&self) -> Option<Duration> {
        let now_ms = u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX);
        let left_ms = self.until_ms.load(Ordering::SeqCst).saturating_sub(now_ms);
        (left_ms > 0).then(|| Duration::from_millis(left_ms))
    }

    /// Names the time since the lease was last lost.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// Whether it holds and has held ever since [`Self::generation`] was this.
    pub(crate) fn has_held_since(&self, generation: u64) -> bool {
        self.remaining().is_some() && self.generation() == generation
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_holds_from_before_its_renewal_and_never_after_its_end() {
        let lease = Lease::new(Some(Duration::from_secs(10)));
        assert!(lease.remaining().is_none());
        let now = Instant::now();
        lease.extend(now);
        assert!(lease.remaining().is_some_and(|left| left <= Duration::from_secs(9)));
        let lost = Lease::new(Some(Duration::from_millis(1)));
        lost.extend(Instant::now() - Duration::from_millis(1));
        assert!(lost.remaining().is_none());
    }

    #[test]
    fn work_of_an_earlier_lease_is_known_after_the_next_one_began() {
        let lease = Lease::new(None);
        lease.extend(Instant::now());
        let generation = lease.generation();
        assert!(lease.has_held_since(generation));
        lease.lose();
        assert!(lease.remaining().is_none());
        lease.extend(Instant::now());
        assert!(!lease.has_held_since(generation));
        assert!(lease.has_held_since(lease.generation()));
    }
}
