//! Which sessions of a user give way, wherever they are.

use bulkhead_model::limits::DEVICES_PER_PLATFORM_MAX;
use bulkhead_proto::router::KickReason;

use crate::sessions::SESSIONS_PER_USER_MAX;

/// A session of a user at any router.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) session: u64,
    pub(crate) device: String,
    pub(crate) platform: String,
    pub(crate) opened_ms: u64,
    /// It has just opened at this router: whatever the clocks say, it is not the one that gives way.
    pub(crate) fresh: bool,
    /// What it leaves for a device that it forces out.
    pub(crate) login_ext: String,
}

impl Seen {
    fn age(&self) -> (bool, u64, u64) {
        (self.fresh, self.opened_ms, self.session)
    }
}

/// A session that gives way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Surplus {
    pub(crate) session: u64,
    pub(crate) device: String,
    pub(crate) reason: KickReason,
    pub(crate) detail: String,
}

/// The older sessions of the same device, the oldest beyond what one platform may have, and the oldest beyond what a user
/// may have.
pub(crate) fn surplus(mut sessions: Vec<Seen>) -> Vec<Surplus> {
    // Newest first: what is counted already is newer.
    sessions.sort_by_key(|one| std::cmp::Reverse(one.age()));
    let mut kept: Vec<Seen> = Vec::with_capacity(sessions.len());
    let mut surplus = Vec::new();
    for one in sessions {
        let of_platform = || kept.iter().filter(|newer| newer.platform == one.platform);
        let newest = of_platform().next().or(kept.first());
        let detail = newest.map(|newest| newest.login_ext.clone()).unwrap_or_default();
        let (reason, detail) = if kept.iter().any(|newer| newer.device == one.device) {
            // It came back elsewhere, which is no news to its user.
            (KickReason::Unspecified, String::new())
        } else if of_platform().count() >= DEVICES_PER_PLATFORM_MAX || kept.len() >= SESSIONS_PER_USER_MAX {
            (KickReason::AnotherDevice, detail)
        } else {
            kept.push(one);
            continue;
        };
        surplus.push(Surplus { session: one.session, device: one.device, reason, detail });
    }
    surplus
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(session: u64, platform: &str, opened_ms: u64) -> Seen {
        Seen {
            session,
            device: format!("device {session}"),
            platform: platform.into(),
            opened_ms,
            login_ext: format!("from {session}"),
            ..Seen::default()
        }
    }

    #[test]
    fn the_oldest_of_the_platform_gives_way_and_hears_of_the_newest() {
        let mut sessions: Vec<Seen> = (1..=4).map(|number| seen(number, "web", number)).collect();
        sessions.push(seen(9, "ios", 0));
        assert_eq!(surplus(sessions.clone()), []);
        sessions.push(seen(5, "web", 10));
        let gone = surplus(sessions);
        let wanted = Surplus {
            session: 1,
            device: "device 1".into(),
            reason: KickReason::AnotherDevice,
            detail: "from 5".into(),
        };
        assert_eq!(gone, [wanted]);
    }

    #[test]
    fn a_session_that_has_just_opened_stays_whatever_the_clocks_say() {
        let mut sessions: Vec<Seen> = (1..=4).map(|number| seen(number, "web", 100 + number)).collect();
        sessions.push(Seen { fresh: true, ..seen(5, "web", 7) });
        assert_eq!(surplus(sessions)[0].session, 1);
    }

    #[test]
    fn a_device_that_came_back_counts_once() {
        let mut sessions: Vec<Seen> = (1..=4).map(|number| seen(number, "web", number)).collect();
        sessions.push(Seen { device: "device 3".into(), ..seen(8, "web", 8) });
        let gone = surplus(sessions);
        assert_eq!(gone.len(), 1);
        assert_eq!((gone[0].session, gone[0].reason), (3, KickReason::Unspecified));
    }

    #[test]
    fn a_user_has_so_many_sessions_and_no_more() {
        let count = SESSIONS_PER_USER_MAX as u64;
        let mut sessions: Vec<Seen> =
            (0..count).map(|number| seen(number, &format!("platform {number}"), number)).collect();
        assert_eq!(surplus(sessions.clone()), []);
        sessions.push(seen(count, "one more", count));
        let gone = surplus(sessions);
        assert_eq!((gone.len(), gone[0].session, gone[0].reason), (1, 0, KickReason::AnotherDevice));
    }
}
