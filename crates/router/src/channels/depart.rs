//! Members of a room leave with their last session, wherever in the region that was: at once when they went, a little
//! later when their connection broke and they may be back (features.md §7.2).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bulkhead_bus::Topic;
use bulkhead_model::{AppUuid, Result};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::change::Change;
use super::key::ChannelRef;
use super::{load, read, submit};
use crate::core::Core;
use crate::registry::{Elsewhere, elsewhere};
use crate::work::Queues;

/// How long a lane that takes no more, or a registry that does not answer, is given before it is asked again.
const PAUSE: Duration = Duration::from_millis(500);

/// Departures of one round, whose users are looked for together.
const ROUND_MAX: usize = 1000;

/// How often a registry is asked that does not answer; then only this router's sessions count.
const QUESTIONS_MAX: u32 = 10;

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
    /// Where each room stands that is looked at, which is once.
    rooms: HashMap<ChannelRef, (Instant, u64)>,
    next: u64,
}

#[derive(Clone)]
struct Departure {
    who: Who,
    /// How often the registry has not answered.
    unanswered: u32,
}

#[derive(Clone)]
enum Who {
    /// A user whose last session here has ended.
    User {
        app: AppUuid,
        user: String,
        /// `None` while they were not known: a session that ended while it opened.
        rooms: Option<Vec<ChannelRef>>,
        /// There was a session elsewhere a while ago.
        seen_elsewhere: bool,
    },
    /// Everybody in a room who has no session.
    Absent(ChannelRef),
}

/// A user with the rooms that are left if there is no session.
struct Leaver {
    app: AppUuid,
    user: String,
    rooms: Vec<ChannelRef>,
    seen_elsewhere: bool,
}

impl Leaver {
    fn again(self) -> Who {
        let Leaver { app, user, rooms, seen_elsewhere } = self;
        Who::User { app, user, rooms: Some(rooms), seen_elsewhere }
    }
}

impl Departures {
    pub(crate) fn new(grace: Duration) -> Self {
        Self { grace, waiting: Mutex::default(), changed: Notify::new() }
    }

    /// The last session of a user has ended. `rooms` is `None` when they are not known yet.
    pub(crate) fn add(&self, app: AppUuid, user: &str, rooms: Option<Vec<ChannelRef>>, lost: bool) {
        let due = if lost { Instant::now() + self.grace } else { Instant::now() };
        self.put(due, Who::User { app, user: user.to_owned(), rooms, seen_elsewhere: false }, 0);
    }

    /// Members of a room may have lost their sessions when nobody was there to see it: a while ago, or `just_now`.
    pub(crate) fn look_for_absent(&self, room: ChannelRef, just_now: bool) {
        let mut waiting = self.waiting.lock();
        if just_now && let Some(earlier) = waiting.rooms.remove(&room) {
            // Everybody has the whole grace.
            waiting.by_time.remove(&earlier);
        }
        drop(waiting);
        self.put(Instant::now() + self.grace, Who::Absent(room), 0);
    }

    fn put(&self, due: Instant, who: Who, unanswered: u32) {
        let mut waiting = self.waiting.lock();
        waiting.next += 1;
        let place = (due, waiting.next);
        if let Who::Absent(room) = &who {
            if waiting.rooms.contains_key(room) {
                return;
            }
            waiting.rooms.insert(room.clone(), place);
        }
        waiting.by_time.insert(place, Departure { who, unanswered });
        drop(waiting);
        self.changed.notify_one();
    }

    fn again(&self, who: Who, unanswered: u32) {
        self.put(Instant::now() + PAUSE, who, unanswered);
    }

    fn later(&self, who: Who) {
        self.put(Instant::now() + self.grace, who, 0);
    }

    fn take_due(&self) -> Vec<Departure> {
        let now = Instant::now();
        let mut waiting = self.waiting.lock();
        let mut due = Vec::new();
        while due.len() < ROUND_MAX
            && let Some(first) = waiting.by_time.first_entry().filter(|first| first.key().0 <= now)
        {
            let departure = first.remove();
            if let Who::Absent(room) = &departure.who {
                waiting.rooms.remove(room);
            }
            due.push(departure);
        }
        due
    }

    fn next_due(&self) -> Option<Instant> {
        self.waiting.lock().by_time.keys().next().map(|(due, _)| *due)
    }
}

/// Has users leave their rooms when it is time; who is back by then, or is connected through another router, stays.
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
        let mut users = Vec::new();
        for departure in core.departures.take_due() {
            match departure.who {
                Who::User { .. } => users.push(departure),
                Who::Absent(room) => absent(&core, &queues, room, departure.unanswered).await,
            }
        }
        depart(&core, &queues, users).await;
    }
}

/// Looks at every room that the lanes have in memory: the sessions of a router have ended with it.
pub(crate) fn look_at_rooms(core: &Core) {
    for lane in &core.lanes {
        for room in lane.with(|state| state.rosters.rooms()) {
            core.departures.look_for_absent(room, true);
        }
    }
}

/// Users whose last session here has ended.
async fn depart(core: &Core, queues: &Queues, due: Vec<Departure>) {
    let mut leavers = Vec::with_capacity(due.len());
    for Departure { who, unanswered } in due {
        let Who::User { app, user, rooms, seen_elsewhere } = who else { continue };
        if core.sessions.is_online(app, &user) {
            if core.sessions.channels_of(app, &user).is_none() {
                // Just coming: whether they arrive is seen in a moment.
                core.departures.again(Who::User { app, user, rooms, seen_elsewhere }, unanswered);
            }
            continue;
        }
        match rooms_of(core, app, &user, rooms).await {
            Ok(rooms) if rooms.is_empty() => {}
            Ok(rooms) => leavers.push((Leaver { app, user, rooms, seen_elsewhere }, unanswered)),
            Err(error) => {
                tracing::warn!(%error, "which rooms a user leaves could not be read");
                core.departures.again(Who::User { app, user, rooms: None, seen_elsewhere }, unanswered);
            }
        }
    }
    if leavers.is_empty() {
        return;
    }
    let topics: Vec<Topic> = leavers.iter().map(|(one, _)| Topic::user(one.app, &one.user)).collect();
    let there = gone_from_here(core, &topics).await;
    for ((leaver, unanswered), there) in leavers.into_iter().zip(there) {
        match there {
            // Whoever has the last session there takes the user out when it ends; unless it ended before that router had
            // heard that the user is in the room, which is seen a while later.
            Elsewhere::Known(sessions) if !sessions.is_empty() => {
                if !leaver.seen_elsewhere {
                    core.departures.later(Leaver { seen_elsewhere: true, ..leaver }.again());
                }
            }
            Elsewhere::Unknown if unanswered < QUESTIONS_MAX => {
                core.departures.again(leaver.again(), unanswered + 1);
            }
            Elsewhere::Known(_) | Elsewhere::Unknown => expel(core, queues, leaver).await,
        }
    }
}

async fn rooms_of(
    core: &Core,
    app: AppUuid,
    user: &str,
    rooms: Option<Vec<ChannelRef>>,
) -> Result<Vec<ChannelRef>> {
    match rooms {
        Some(rooms) => Ok(rooms),
        None => {
            let all = read::memberships(core, app, user).await?.into_iter();
            Ok(all.map(|(key, _)| key).filter(ChannelRef::is_room).collect())
        }
    }
}

/// What is known of users elsewhere, once it is known there that they have no session here: when the last sessions of a
/// user end at two routers at the same time, one of the two sees that.
async fn gone_from_here(core: &Core, users: &[Topic]) -> Vec<Elsewhere> {
    let Some(register) = &core.register else { return elsewhere(core, users).await };
    let late = register.settled().await;
    let mut there = elsewhere(core, users).await;
    for (there, user) in there.iter_mut().zip(users) {
        if late.contains(user.slot()) {
            *there = Elsewhere::Unknown;
        }
    }
    there
}

/// Has those leave a room who have no session anywhere.
async fn absent(core: &Core, queues: &Queues, room: ChannelRef, unanswered: u32) {
    if !core.ownership.owns(room.slot()) {
        return;
    }
    let app = room.app();
    let members = match load::members(core, &room).await {
        Ok(members) => members,
        Err(error) => {
            tracing::warn!(%error, "the members of a room could not be looked for");
            return core.departures.again(Who::Absent(room), unanswered);
        }
    };
    let away: Vec<_> = members.into_iter().filter(|user| !core.sessions.is_online(app, user)).collect();
    for users in away.chunks(ROUND_MAX) {
        let topics: Vec<Topic> = users.iter().map(|user| Topic::user(app, user)).collect();
        let there = elsewhere(core, &topics).await;
        if unanswered < QUESTIONS_MAX && there.iter().any(|there| matches!(there, Elsewhere::Unknown)) {
            return core.departures.again(Who::Absent(room), unanswered + 1);
        }
        for (user, there) in users.iter().zip(there) {
            let is_there = matches!(there, Elsewhere::Known(sessions) if !sessions.is_empty());
            if !is_there && !core.sessions.is_online(app, user) {
                let (user, rooms) = (user.clone(), vec![room.clone()]);
                expel(core, queues, Leaver { app, user, rooms, seen_elsewhere: true }).await;
            }
        }
    }
}

async fn expel(core: &Core, queues: &Queues, leaver: Leaver) {
    let Leaver { app, user, rooms, seen_elsewhere } = leaver;
    for room in rooms {
        let change = Change::Expel { user: user.clone() };
        // Nobody waits for the answer: a room that is gone meanwhile is left too.
        if !core.ownership.owns(room.slot()) {
            core.others.tell_room_left(&room, &user).await;
            continue;
        }
        if submit::enqueue(core, queues, room.clone(), None, change).is_err() {
            let again = Leaver { app, user: user.clone(), rooms: vec![room], seen_elsewhere };
            core.departures.again(again.again(), 0);
        }
    }
}
