//! After a gap: what users are in is read again, because the frames that told of it may have been lost. Only then their
//! sessions look for messages that they missed.

use std::sync::Arc;
use std::time::Duration;

use bulkhead_bus::{SlotSet, Topic};
use futures_util::stream::{self, StreamExt};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::channels::read;
use crate::core::Core;

/// Users who are read at one time.
const READS_AT_ONCE: usize = 16;

/// How long a store that does not answer is given.
const PAUSE: Duration = Duration::from_millis(500);

/// The slots of users whose memberships are to be read again.
#[derive(Default)]
pub(crate) struct Regain {
    slots: Mutex<Option<SlotSet>>,
    changed: Notify,
}

impl Regain {
    pub(crate) fn add(&self, slots: &SlotSet) {
        self.slots.lock().get_or_insert_with(SlotSet::none).add(slots);
        self.changed.notify_one();
    }
}

/// See the module. Runs until told to stop.
pub(crate) async fn run(core: Arc<Core>, stop: CancellationToken) {
    let regaining = async {
        loop {
            core.regain.changed.notified().await;
            let Some(slots) = core.regain.slots.lock().take() else { continue };
            let left = Mutex::new(SlotSet::none());
            stream::iter(core.sessions.users_of(&slots))
                .for_each_concurrent(READS_AT_ONCE, async |user| {
                    core.sessions.begin_again(&user);
                    let memberships = read::memberships(&core, user.0, &user.1).await;
                    let channels = memberships.map(|all| all.into_iter().map(|(key, _)| key).collect());
                    if !channels.is_ok_and(|channels| core.sessions.know_again(&user, channels)) {
                        left.lock().add(&[Topic::user(user.0, &user.1).slot()].into_iter().collect());
                    }
                })
                .await;
            let left = left.into_inner();
            if !left.is_empty() {
                tokio::time::sleep(PAUSE).await;
                core.regain.add(&left);
            }
        }
    };
    let _ = stop.run_until_cancelled(regaining).await;
}
