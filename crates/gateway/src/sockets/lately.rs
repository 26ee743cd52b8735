//! Changes of credentials that a login may have been judged before, though its session was registered after them.

use std::collections::VecDeque;
use std::time::Duration;

use bulkhead_proto::auth::Grant;
use bulkhead_proto::records::AuthChange;
use parking_lot::Mutex;
use prost::Message;
use tokio::time::Instant;

use super::hub::SessionHandle;

/// For how long a change is remembered: longer than a login may take to be judged and registered.
const KEPT: Duration = Duration::from_secs(30);

/// Most changes that are remembered; with more, every login is looked at.
const KEPT_MAX: usize = 4_096;

/// See the module.
#[derive(Default)]
pub(crate) struct Lately(Mutex<Remembered>);

#[derive(Default)]
struct Remembered {
    changes: VecDeque<(Instant, AuthChange)>,
    /// Until then there were more than are remembered.
    overflowed_until: Option<Instant>,
}

impl Lately {
    /// Must come before the sessions are looked at, so that a session that they do not have yet finds the change here.
    pub(super) fn add(&self, changes: &[AuthChange], missed: bool) {
        let now = Instant::now();
        let mut remembered = self.0.lock();
        let old = remembered.changes.partition_point(|(at, _)| *at + KEPT < now);
        remembered.changes.drain(..old);
        remembered.changes.extend(changes.iter().map(|change| (now, change.clone())));
        let surplus = remembered.changes.len().saturating_sub(KEPT_MAX);
        remembered.changes.drain(..surplus);
        if missed || surplus > 0 {
            remembered.overflowed_until = Some(now + KEPT);
        }
    }

    /// Whether a session that has just been registered may be one that a change is about.
    pub(super) fn concerns(&self, session: &SessionHandle) -> bool {
        let now = Instant::now();
        let remembered = self.0.lock();
        remembered.overflowed_until.is_some_and(|until| now < until)
            || remembered.changes.iter().any(|(at, change)| *at + KEPT >= now && is_about(change, session))
    }
}

/// Whether a change may be about a session.
pub(super) fn is_about(change: &AuthChange, session: &SessionHandle) -> bool {
    change.app == session.opening.app
        && (change.user.is_empty() || change.user == session.user())
        && (change.token.is_empty() || holds(session, &change.token))
}

/// Whether a session lives from this token, or from one that was given for it.
fn holds(session: &SessionHandle, token: &[u8]) -> bool {
    // What cannot be read is looked at by whoever wrote it.
    Grant::decode(&session.grant[..]).map_or(true, |grant| grant.token == token || grant.source == token)
}
