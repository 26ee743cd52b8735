//! What one lane keeps in memory: how users stand to its channels and how far their devices are. Its worker writes it;
//! pulls and confirmations move cursors in it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

use bulkhead_model::Result;
use bulkhead_proto::records::{Conversation, Cursor, Device};
use bulkhead_store::{Mutation, Put};
use bytes::Bytes;
use parking_lot::Mutex;
use prost::Message;
use tokio::sync::{Notify, oneshot};

use crate::cache::Cache;
use crate::channels::roster::{Head, Rosters};
use crate::channels::seat::Seat;
use crate::conversation::{Mark, Place, Standing};
use crate::core::Core;
use crate::keys::{CursorKey, StandingKey};
use crate::slots::Ranges;

/// Rows that one flush adds to a write.
const FLUSH_ROWS_MAX: usize = 4000;

/// How often a read of the store is repeated because something was forgotten meanwhile.
const LOAD_ATTEMPTS_MAX: usize = 16;

pub(crate) struct Lane {
    state: Mutex<State>,
    /// Wakes the worker to write moved cursors now.
    pub(crate) flush: Notify,
    /// `None` once the worker has ended.
    releases: Mutex<Option<Vec<Release>>>,
    /// Wakes the worker to let go of ranges.
    pub(crate) release: Notify,
    /// No message that is being written has an id of an earlier instant; `u64::MAX` while none is.
    writing_since_ms: AtomicU64,
}

/// Ranges that the lane is to let go of.
pub(crate) struct Release {
    pub(crate) ranges: Ranges,
    /// Whether what is known of them is to be written.
    pub(crate) write: bool,
    pub(crate) done: oneshot::Sender<()>,
}

/// See [`Lane`].
pub(crate) struct State {
    /// Who is in the lane's groups and rooms.
    pub(crate) rosters: Rosters,
    pub(crate) standings: Cache<StandingKey, Standing>,
    pub(crate) places: Cache<CursorKey, Place>,
    dirty_standings: HashSet<StandingKey>,
    dirty_places: HashSet<CursorKey>,
}

/// Rows that a flush writes, to be marked as written afterwards.
#[derive(Default)]
pub(crate) struct Flush {
    standings: Vec<(StandingKey, Conversation)>,
    places: Vec<(CursorKey, Cursor)>,
}

impl Lane {
    pub(crate) fn new(cached_conversations_max: usize, cached_members_max: usize) -> Self {
        Self {
            state: Mutex::new(State {
                rosters: Rosters::new(cached_members_max),
                standings: Cache::new(cached_conversations_max.max(2)),
                places: Cache::new(cached_conversations_max.max(2)),
                dirty_standings: HashSet::new(),
                dirty_places: HashSet::new(),
            }),
            flush: Notify::new(),
            releases: Mutex::new(Some(Vec::new())),
            release: Notify::new(),
            writing_since_ms: AtomicU64::new(u64::MAX),
        }
    }

    /// Runs `work` on the state. Never held across an await.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock())
    }

    /// Returns when nothing of the ranges is in flight or in memory. They must not be owned any more, so that nothing new
    /// of them begins.
    pub(crate) async fn release(&self, ranges: Ranges, write: bool) {
        let (done, released) = oneshot::channel();
        // A worker that has ended holds nothing.
        let Some(()) =
            self.releases.lock().as_mut().map(|waiting| waiting.push(Release { ranges, write, done }))
        else {
            return;
        };
        self.release.notify_one();
        let _ = released.await;
    }

    /// What the worker is to let go of.
    pub(crate) fn take_releases(&self) -> Vec<Release> {
        self.releases.lock().as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The worker has ended.
    pub(crate) fn end(&self) {
        *self.releases.lock() = None;
    }

    pub(crate) fn writing_since_ms(&self) -> u64 {
        self.writing_since_ms.load(Ordering::SeqCst)
    }

    pub(crate) fn set_writing_since_ms(&self, ms: u64) {
        self.writing_since_ms.store(ms, Ordering::SeqCst);
    }

    /// Runs `work` on one user's standing and one device's place, which are read from the store when they are not here.
    /// With the user's seat for a channel of many.
    /// `NotOwner` when another router owns the channel.
    pub(crate) async fn with_place<T>(
        &self,
        core: &Core,
        standing_key: &StandingKey,
        cursor_key: &CursorKey,
        seat: Option<&Seat>,
        mut work: impl FnMut(&mut Position<'_>) -> T,
    ) -> Result<T> {
        let mut loaded: Option<(u64, Standing, Place)> = None;
        for _ in 0..LOAD_ATTEMPTS_MAX {
            let forgotten = {
                let mut state = self.state.lock();
                // Under the lock: a range is given up before the lane forgets it, so nothing of it comes in afterwards.
                core.ownership.check(standing_key.slot())?;
                let forgotten = state.forgotten();
                if let Some((_, standing, place)) = loaded.take_if(|(seen, ..)| *seen == forgotten) {
                    state.standings.get_or_insert(standing_key, standing);
                    state.places.get_or_insert(cursor_key, place);
                }
                if let Some(done) = state.at(standing_key, cursor_key, seat, &mut work) {
                    return Ok(done);
                }
                forgotten
            };
            let keys = vec![standing_key.row(), cursor_key.row(), cursor_key.device_row()];
            let mut rows = core.get_many(keys).await?.into_iter();
            let mut next = || rows.next().flatten();
            let standing = Standing::stored(decode(next())?);
            let place = place_of(next(), next())?;
            loaded = Some((forgotten, standing, place));
        }
        Err(bulkhead_model::ErrorKind::Unavailable.into())
    }
}

/// A standing and a place under the lane's lock.
pub(crate) struct Position<'a> {
    pub(crate) standing: &'a mut Standing,
    pub(crate) place: &'a mut Place,
    /// Where the log of a channel of many ends; that of two is the standing's own.
    head: Option<&'a Head>,
}

impl Position<'_> {
    /// The device has everything up to `id`.
    pub(crate) fn prove(&mut self, id: u64) {
        if id > self.place.id {
            let end = (self.standing.row.last_id, self.standing.row.incoming);
            let mark = self.place.proven(id, end, |id| match self.head {
                Some(head) => head.incoming_at(id),
                None => self.standing.incoming_at(id),
            });
            self.place.advance(mark);
            self.standing.take(mark);
        }
    }

    /// Nothing up to the mark is for this device.
    pub(crate) fn skip(&mut self, mark: Mark) {
        self.place.advance(mark);
    }
}

impl State {
    /// Changes when anything was forgotten; see [`Cache::forgotten`].
    pub(crate) fn forgotten(&self) -> u64 {
        self.standings.forgotten() + self.places.forgotten()
    }

    fn at<T>(
        &mut self,
        standing_key: &StandingKey,
        cursor_key: &CursorKey,
        seat: Option<&Seat>,
        work: &mut impl FnMut(&mut Position<'_>) -> T,
    ) -> Option<T> {
        let standing = self.standings.get_mut(standing_key)?;
        let place = self.places.get_mut(cursor_key)?;
        let head = seat.map(|seat| self.rosters.get(&seat.key).map_or(&seat.stored, |roster| &roster.head));
        if let (Some(seat), Some(head)) = (seat, head) {
            standing.enter((head.row.last_id, head.row.incoming), seat.joined);
            place.enter(seat.joined);
        }
        let done = work(&mut Position { standing, place, head });
        let (standing_is_dirty, place_is_dirty) = (standing.is_dirty(), place.is_dirty());
        if standing_is_dirty {
            self.dirty_standings.insert(standing_key.clone());
        }
        if place_is_dirty {
            self.dirty_places.insert(cursor_key.clone());
        }
        Some(done)
    }

    /// Takes in a place that moved, or one to be written again.
    pub(crate) fn put_place(&mut self, key: &CursorKey, place: Place, change: impl FnOnce(&mut Place)) {
        let kept = self.places.get_or_insert(key, place);
        change(kept);
        if kept.is_dirty() {
            self.dirty_places.insert(key.clone());
        }
    }

    pub(crate) fn has_unwritten(&self) -> bool {
        !self.dirty_standings.is_empty() || !self.dirty_places.is_empty()
    }

    /// Whether anything of the ranges waits to be written.
    pub(crate) fn has_unwritten_of(&self, ranges: Ranges) -> bool {
        self.dirty_standings.iter().any(|key| ranges.has_slot(key.slot()))
            || self.dirty_places.iter().any(|key| ranges.has_slot(key.slot()))
    }

    /// Adds the rows that wait to be written, but none of `besides`, which the batch writes itself.
    pub(crate) fn take_unwritten(
        &mut self,
        mutations: &mut Vec<Mutation>,
        besides: impl Fn(&StandingKey) -> bool,
    ) -> Flush {
        let mut flush = Flush::default();
        let keys: Vec<_> = self.dirty_standings.iter().take(FLUSH_ROWS_MAX / 2).cloned().collect();
        for key in keys {
            self.dirty_standings.remove(&key);
            let Some(standing) = self.standings.get_mut(&key) else { continue };
            if standing.is_dirty() && !besides(&key) {
                mutations.push(put(key.row(), &standing.row));
                flush.standings.push((key, standing.row));
            }
        }
        let keys: Vec<_> = self.dirty_places.iter().take(FLUSH_ROWS_MAX / 2).cloned().collect();
        for key in keys {
            self.dirty_places.remove(&key);
            let Some(place) = self.places.get_mut(&key) else { continue };
            if place.is_dirty() {
                mutations.push(put(key.row(), &place.cursor()));
                flush.places.push((key, place.cursor()));
            }
        }
        flush
    }

    /// Ends a flush.
    pub(crate) fn flushed(&mut self, flush: Flush, durable: bool) {
        for (key, row) in flush.standings {
            let Some(standing) = self.standings.get_mut(&key) else { continue };
            if durable {
                standing.written(&row, []);
            }
            if standing.is_dirty() {
                self.dirty_standings.insert(key);
            }
        }
        for (key, cursor) in flush.places {
            let Some(place) = self.places.get_mut(&key) else { continue };
            if durable {
                place.written(cursor.id);
            }
            if place.is_dirty() {
                self.dirty_places.insert(key);
            }
        }
    }

    /// Takes in a standing that the batch wrote.
    pub(crate) fn standing_written(&mut self, key: StandingKey, row: Conversation, marks: Vec<Mark>) {
        let standing = self.standings.get_or_insert(&key, Standing::default());
        standing.written(&row, marks);
        if standing.is_dirty() {
            self.dirty_standings.insert(key);
        }
    }

    /// A device of a member has what it sent itself; `row` is how the member stood to the channel in the store.
    pub(crate) fn member_took(&mut self, key: StandingKey, row: Conversation, mark: Mark) {
        let standing = self.standings.get_or_insert(&key, Standing::stored(row));
        standing.enter(mark, (0, 0));
        standing.take(mark);
        if standing.is_dirty() {
            self.dirty_standings.insert(key);
        }
    }

    /// Forgets how somebody stood who has left a channel of many.
    pub(crate) fn forget_standing(&mut self, key: &StandingKey) {
        self.standings.remove(key);
        self.dirty_standings.remove(key);
    }

    /// Forgets everything, written or not.
    pub(crate) fn forget_all(&mut self) {
        self.rosters.clear();
        self.forget(|_| true, |_| true);
    }

    /// Forgets what the two name, written or not.
    pub(crate) fn forget(
        &mut self,
        standing: impl Fn(&StandingKey) -> bool,
        place: impl Fn(&CursorKey) -> bool,
    ) {
        self.standings.remove_where(&standing);
        self.places.remove_where(&place);
        self.dirty_standings.retain(|key| !standing(key));
        self.dirty_places.retain(|key| !place(key));
    }
}

/// The place that a cursor row, or else the device's own row, describes.
pub(crate) fn place_of(cursor: Option<Bytes>, device: Option<Bytes>) -> Result<Place> {
    if cursor.is_some() {
        return Ok(Place::stored(&decode::<Cursor>(cursor)?));
    }
    let device: Device = decode(device)?;
    Ok(Place::stored(&Cursor { id: device.since_id, incoming: 0 }))
}

/// Reads a row; one that is not there is the default.
pub(crate) fn decode<T: Message + Default>(row: Option<Bytes>) -> Result<T> {
    let Some(row) = row else { return Ok(T::default()) };
    T::decode(row).map_err(|_| bulkhead_model::ErrorKind::Internal.with("a stored row is damaged"))
}

pub(crate) fn put(key: bulkhead_store::RowKey, row: &impl Message) -> Mutation {
    Mutation::Put(Put { key, value: Bytes::from(row.encode_to_vec()), expires_in_ms: None })
}
