//! Members of a room leave with their session: at once when they went, a little later when their connection broke and
//! they may be back (features.md §7.2).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bulkhead_model::AppUuid;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::change::Change;
use super::key::ChannelRef;
use super::submit;
use crate::core::Core;
use crate::work::Queues;

/// How long a lane that takes no more is given before it is asked again.
const PAUSE: Duration = Duration::from_millis(500);

/// Changes of one round that are queued before their answers are waited for.
const ROUND_MAX: usize = 2000;

/// Who is about to leave.
pub(crate) struct Departures {
    grace: Duration,
    waiting: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Default)]
struct Waiting {
    /// By when they are due; the number keeps those of one instant apart.
    by_time: BTreeMap<(Instant, u64), Departure>,
    next: u64,
}

struct Departure {
    app: AppUuid,
    user: String,
    rooms: Vec<ChannelRef>,
}

impl Departures {
    pub(crate) fn new(grace: Duration) -> Self {
        Self { grace, waiting: Mutex::default(), changed: Notify::new() }
    }

    /// The last session of a user who is in rooms has ended.
    pub(crate) fn add(&self, app: AppUuid, user: &str, rooms: Vec<ChannelRef>, lost: bool) {
        let due = if lost { Instant::now() + self.grace } else { Instant::now() };
        self.put(due, Departure { app, user: user.to_owned(), rooms });
    }

    fn put(&self, due: Instant, departure: Departure) {
        let mut waiting = self.waiting.lock();
        waiting.next += 1;
        let number = waiting.next;
        waiting.by_time.insert((due, number), departure);
        drop(waiting);
        self.changed.notify_one();
    }

    fn take_due(&self) -> Vec<Departure> {
        let now = Instant::now();
        let mut waiting = self.waiting.lock();
        let mut due = Vec::new();
        while due.len() < ROUND_MAX
            && let Some(first) = waiting.by_time.first_entry().filter(|first| first.key().0 <= now)
        {
            due.push(first.remove());
        }
        due
    }

    fn next_due(&self) -> Option<Instant> {
        self.waiting.lock().by_time.keys().next().map(|(due, _)| *due)
    }
}

/// Has users leave their rooms when it is time; who is back by then stays.
pub(crate) async fn run(core: Arc<Core>, queues: Queues, stop: CancellationToken) {
    loop {
        let due = core.departures.next_due();
        tokio::select! {
            () = stop.cancelled() => return,
            () = core.departures.changed.notified() => {}
            () = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            } => {}
        }
        for Departure { app, user, rooms } in core.departures.take_due() {
            if core.sessions.is_online(app, &user) {
                if core.sessions.channels_of(app, &user).is_none() {
                    // Just coming: whether they arrive is seen in a moment.
                    core.departures.put(Instant::now() + PAUSE, Departure { app, user, rooms });
                }
                continue;
            }
            for room in rooms {
                let change = Change::Expel { user: user.clone() };
                // Nobody waits for the answer: a room that is gone meanwhile is left too.
                if !core.ownership.owns(room.slot()) {
                    core.others.tell_room_left(&room, &user).await;
                    continue;
                }
                if submit::enqueue(&core, &queues, room.clone(), None, change).is_err() {
                    let again = Departure { app, user: user.clone(), rooms: vec![room] };
                    core.departures.put(Instant::now() + PAUSE, again);
                }
            }
        }
    }
}
