//! How many calls one app and one client address may make (features.md §7.3).

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bulkhead_model::{AppUuid, ErrorKind, Result};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};
use parking_lot::Mutex;

/// Calls of all clients together that are being answered at one time; one more is answered 503.
pub(super) const CALLS_IN_FLIGHT_MAX: usize = 2048;

/// After so many calls the addresses that have been quiet are forgotten.
const CALLS_BETWEEN_SWEEPS: u32 = 10_000;

/// The rate limits of one gateway.
pub(super) struct Limits {
    app_rate_per_s: u32,
    /// The rate that a limiter was made for, beside it: an app's own rate can be changed.
    apps: Mutex<HashMap<AppUuid, (u32, Arc<DefaultDirectRateLimiter>)>>,
    addresses: DefaultKeyedRateLimiter<IpAddr>,
    calls: AtomicU32,
}

impl Limits {
    /// `app_rate_per_s` for apps without a rate of their own.
    pub(super) fn new(app_rate_per_s: u32, address_rate_per_s: u32) -> Self {
        Self {
            app_rate_per_s,
            apps: Mutex::new(HashMap::new()),
            addresses: RateLimiter::keyed(quota(address_rate_per_s)),
            calls: AtomicU32::new(0),
        }
    }

    /// Counts one call of a client. `RateLimited`.
    pub(super) fn check_address(&self, address: IpAddr) -> Result<()> {
        if self.calls.fetch_add(1, Ordering::Relaxed) % CALLS_BETWEEN_SWEEPS == CALLS_BETWEEN_SWEEPS - 1 {
            self.addresses.retain_recent();
            self.addresses.shrink_to_fit();
        }
        self.addresses.check_key(&network_of(address)).map_err(|_| ErrorKind::RateLimited.into())
    }

    /// Counts one call to an app; `own_rate_per_s` is 0 for an app without a rate of its own. `RateLimited`.
    ///
    /// Only apps that exist are counted, so the table is bounded by the region's apps.
    pub(super) fn check_app(&self, app: AppUuid, own_rate_per_s: u32) -> Result<()> {
        let rate = if own_rate_per_s == 0 { self.app_rate_per_s } else { own_rate_per_s };
        let limiter = {
            let mut apps = self.apps.lock();
            let entry = apps
                .entry(app)
                .or_insert_with(|| (rate, Arc::new(DefaultDirectRateLimiter::direct(quota(rate)))));
            if entry.0 != rate {
                *entry = (rate, Arc::new(DefaultDirectRateLimiter::direct(quota(rate))));
            }
            Arc::clone(&entry.1)
        };
        limiter.check().map_err(|_| ErrorKind::RateLimited.into())
    }
}

fn quota(rate_per_s: u32) -> Quota {
    Quota::per_second(NonZeroU32::new(rate_per_s).unwrap_or(NonZeroU32::MIN))
}

/// The address itself, or the /64 that one IPv6 customer holds and can roam in.
fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => IpAddr::V4(address),
            None => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
        },
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_has_its_rate_and_another_app_does_not_feel_it() {
        let limits = Limits::new(2, 1);
        let (one, other) = (AppUuid([1; 16]), AppUuid([2; 16]));
        assert!(limits.check_app(one, 0).is_ok());
        assert!(limits.check_app(one, 0).is_ok());
        assert_eq!(limits.check_app(one, 0).unwrap_err().kind(), ErrorKind::RateLimited);
        assert!(limits.check_app(other, 0).is_ok());
    }

    #[test]
    fn a_changed_rate_counts_at_once() {
        let limits = Limits::new(1, 1);
        let app = AppUuid([1; 16]);
        assert!(limits.check_app(app, 1).is_ok());
        assert!(limits.check_app(app, 1).is_err());
        assert!((0..50).all(|_| limits.check_app(app, 50).is_ok()));
    }

    #[test]
    fn an_ipv6_customer_is_one_address_and_ipv4_addresses_are_each_their_own() {
        let limits = Limits::new(1, 1);
        assert!(limits.check_address("2001:db8::1".parse().unwrap()).is_ok());
        assert!(limits.check_address("2001:db8::2".parse().unwrap()).is_err());
        assert!(limits.check_address("2001:db8:0:1::1".parse().unwrap()).is_ok());
        assert!(limits.check_address("192.0.2.1".parse().unwrap()).is_ok());
        assert!(limits.check_address("192.0.2.2".parse().unwrap()).is_ok());
        assert!(limits.check_address("::ffff:192.0.2.2".parse().unwrap()).is_err());
    }
}
