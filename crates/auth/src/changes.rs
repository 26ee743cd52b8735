//! What the auth services of a region tell each other: that an app, a user or a token is not what it was.
//!
//! Everything that a credential is judged by is kept in memory for seconds. Whoever changes it writes, after the change
//! itself, a row into one table of the region; every auth service reads the end of that table before it answers from
//! memory, unless it did so a moment ago, and forgets what changed. Gateways wait for the same changes and have the sessions that
//! may be concerned checked ([ADR 11](../../../docs/adr/0011-revocations-are-read-not-sent.md)).

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use bulkhead_model::{AppUuid, Entropy, ErrorKind, Result};
use bulkhead_proto::auth::{ChangedList, ChangesRequest};
use bulkhead_proto::records::AuthChange;
use bulkhead_store::{Mutation, Scan, Scope, tables};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::{AuthService, rows};

/// For how long changes that others made may not be known, in milliseconds, while the store answers.
pub(crate) const POLL_MS: u64 = 200;

/// For how long they may not be known while it does not, in milliseconds; then nobody is let in.
const STALE_MS_MAX: u64 = 800;

/// How long one reading may take.
const READ_LIMIT: Duration = Duration::from_secs(2);

/// How far back the end of the table is read again, in milliseconds: what a slow write or a clock that is behind puts
/// there late is found as long as it is not later than this.
const OVERLAP_MS: u64 = 4_000;

/// How far ahead it is read, in milliseconds: for writers whose clocks are ahead.
const AHEAD_MS: u64 = 4_000;

/// For how long a gateway may have heard nothing and is still told everything, in milliseconds.
pub(crate) const KEPT_MS: u64 = 60_000;

/// Most changes in memory; a gateway that is further behind has all its sessions checked.
const KEPT_MAX: usize = 20_000;

/// Most changes of one answer.
const ANSWER_MAX: usize = 1_000;

/// Longest wait for a change, in milliseconds.
const WAIT_MS_MAX: u64 = 2_000;

/// A change that comes into force later is told so much after its time, in milliseconds: once soon, and once more for a
/// service whose clock is behind and that found at first that it has not come yet.
const DUE_MARGINS_MS: [u64; 2] = [100, 1_000];

/// How long a row outlives its time, in milliseconds.
const ROW_LIFE_MS: u64 = 10 * KEPT_MS;

/// Attempts at telling of a change that is made already.
const ATTEMPTS_MAX: usize = 3;

type Key = Bytes;

/// The changes that this service knows of.
pub(crate) struct Changes {
    /// Names this run.
    instance: u64,
    known: Mutex<Known>,
    /// Held by whoever reads the table: the others wait for what it finds.
    turn: tokio::sync::Mutex<()>,
    /// How many there were.
    count: watch::Sender<u64>,
}

#[derive(Default)]
struct Known {
    kept: VecDeque<(u64, AuthChange)>,
    /// The sequence of the first that is kept.
    first: u64,
    /// Keys of rows that were taken in, with the instant of it.
    taken: HashMap<Key, u64>,
    /// When the table was last read to its end.
    read_ms: Option<u64>,
    /// When that last failed.
    failed_ms: Option<u64>,
    /// From this instant on every change is among those that are kept.
    whole_from_ms: u64,
}

impl Changes {
    pub(crate) fn new(entropy: &dyn Entropy) -> Self {
        Self {
            instance: entropy.next_u64().max(1),
            known: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            count: watch::Sender::new(0),
        }
    }

    /// How many changes there were: what was read before a change must not be kept after it.
    pub(crate) fn count(&self) -> u64 {
        *self.count.borrow()
    }

    fn is_fresh(&self, now_ms: u64, age_ms_max: u64) -> bool {
        self.known.lock().read_ms.is_some_and(|read_ms| now_ms.abs_diff(read_ms) < age_ms_max)
    }

    /// What came after the request's, if there is anything to say.
    fn since(&self, request: &ChangesRequest, now_ms: u64) -> Option<ChangedList> {
        let known = self.known.lock();
        let same = request.instance == self.instance;
        let from_ms = request.heard_ms.saturating_sub(OVERLAP_MS);
        let (skipped, missed) = if same {
            (request.sequence.saturating_sub(known.first) as usize, request.sequence < known.first)
        } else {
            // From another service, or an earlier run: some may be told twice, which does no harm.
            (known.kept.partition_point(|(at_ms, _)| *at_ms < from_ms), from_ms < known.whole_from_ms)
        };
        let changes: Vec<_> =
            known.kept.iter().skip(skipped).take(ANSWER_MAX).map(|(_, change)| change.clone()).collect();
        if same && changes.is_empty() && !missed {
            return None;
        }
        let sequence = known.first + (skipped.min(known.kept.len()) + changes.len()) as u64;
        Some(ChangedList { changes, instance: self.instance, sequence, heard_ms: now_ms, missed })
    }
}

impl AuthService {
    /// Waits for changes, as long as the request allows.
    pub(crate) async fn next_changes(&self, request: ChangesRequest) -> Result<ChangedList> {
        let until = Instant::now() + Duration::from_millis(u64::from(request.wait_ms).min(WAIT_MS_MAX));
        let mut count = self.changes.count.subscribe();
        loop {
            count.borrow_and_update();
            self.catch_up(POLL_MS).await?;
            let now_ms = self.clock.now_ms();
            if let Some(answer) = self.changes.since(&request, now_ms) {
                return Ok(answer);
            }
            let now = Instant::now();
            if now >= until {
                let ChangesRequest { instance, sequence, .. } = request;
                return Ok(ChangedList { instance, sequence, heard_ms: now_ms, ..ChangedList::default() });
            }
            let pause = (now + Duration::from_millis(POLL_MS)).min(until);
            let _ = tokio::time::timeout_at(pause, count.changed()).await;
        }
    }

    /// Returns when every change is known that was told `age_ms_max` before now; with 0, before this call.
    pub(crate) async fn catch_up(&self, age_ms_max: u64) -> Result<()> {
        if self.changes.is_fresh(self.clock.now_ms(), age_ms_max) {
            return Ok(());
        }
        let called_ms = self.clock.now_ms();
        let _turn = self.changes.turn.lock().await;
        // Somebody else may have tried while this call waited for its turn: it is not tried once for each.
        let is_since = |at_ms: Option<u64>| at_ms.is_some_and(|at_ms| at_ms > called_ms);
        let (read_since, failed_since) = {
            let known = self.changes.known.lock();
            (is_since(known.read_ms), is_since(known.failed_ms))
        };
        if read_since || self.changes.is_fresh(self.clock.now_ms(), age_ms_max) {
            return Ok(());
        }
        let error = if failed_since {
            ErrorKind::Unavailable.into()
        } else {
            let reading = tokio::time::timeout(READ_LIMIT, self.read_changes()).await;
            let Err(error) = reading.unwrap_or_else(|_| Err(ErrorKind::Timeout.into())) else {
                return Ok(());
            };
            self.changes.known.lock().failed_ms = Some(self.clock.now_ms());
            error
        };
        let may_be_stale = age_ms_max > 0 && self.changes.is_fresh(self.clock.now_ms(), STALE_MS_MAX);
        if may_be_stale { Ok(()) } else { Err(error) }
    }

    async fn read_changes(&self) -> Result<()> {
        let now_ms = self.clock.now_ms();
        let read_ms = self.changes.known.lock().read_ms;
        let oldest_ms = now_ms.saturating_sub(KEPT_MS + OVERLAP_MS);
        let goes_on_ms = read_ms.map(|read_ms| read_ms.min(now_ms).saturating_sub(OVERLAP_MS));
        let goes_on = goes_on_ms.is_some_and(|from_ms| from_ms >= oldest_ms);
        let from_ms = goes_on_ms.unwrap_or_default().max(oldest_ms);
        let to_ms = now_ms + AHEAD_MS;
        for bucket in rows::change_bucket(from_ms)..=rows::change_bucket(to_ms) {
            self.read_bucket(bucket, from_ms, to_ms, now_ms).await?;
        }
        if !goes_on {
            // What is older may be gone from the table.
            self.changes.count.send_modify(|count| *count += 1);
            self.apps.invalidate_all();
            self.users.invalidate_all();
            self.verdicts.invalidate_all();
        }
        let mut known = self.changes.known.lock();
        known.read_ms = Some(now_ms);
        if !goes_on {
            known.whole_from_ms = from_ms;
        }
        known.taken.retain(|_, at_ms| now_ms.abs_diff(*at_ms) < KEPT_MS);
        while known.kept.front().is_some_and(|(at_ms, _)| at_ms + KEPT_MS + OVERLAP_MS < now_ms) {
            known.drop_first();
        }
        Ok(())
    }

    async fn read_bucket(&self, bucket: u64, from_ms: u64, to_ms: u64, now_ms: u64) -> Result<()> {
        let mut from = Bytes::copy_from_slice(&from_ms.to_be_bytes());
        loop {
            let scan = Scan {
                table: &tables::AUTH_CHANGES,
                scope: Scope::Region,
                partition: rows::change_partition(bucket),
                from,
                to: Bytes::copy_from_slice(&to_ms.to_be_bytes()),
                descending: false,
                limit: bulkhead_store::SCAN_ROWS_MAX,
            };
            let page = self.store.scan(scan).await?;
            let next = (page.len() == bulkhead_store::SCAN_ROWS_MAX)
                .then(|| page.last().map(|row| Bytes::from([&row.clustering[..], &[0]].concat())))
                .flatten();
            for row in page {
                let change: AuthChange = rows::decode(row.value)?;
                if change.due_ms <= now_ms {
                    self.take_in(row.clustering, change, now_ms);
                }
            }
            match next {
                Some(next) => from = next,
                None => return Ok(()),
            }
        }
    }

    /// Tells of a change that is durable already when its time has come.
    pub(crate) async fn tell_later(&self, app: AppUuid, due_ms: u64) -> Result<()> {
        for margin_ms in DUE_MARGINS_MS {
            self.tell(app, AuthChange { due_ms: due_ms + margin_ms, ..AuthChange::default() }).await?;
        }
        Ok(())
    }

    /// Tells of a change that is durable already.
    pub(crate) async fn tell(&self, app: AppUuid, mut change: AuthChange) -> Result<()> {
        let now_ms = self.clock.now_ms();
        change.app = Bytes::copy_from_slice(&app.0);
        let at_ms = change.due_ms.max(now_ms);
        let (row, key) = rows::auth_change(at_ms, self.entropy.next_u64());
        let mut put = rows::put(row, &change);
        put.expires_in_ms = Some(at_ms - now_ms + ROW_LIFE_MS);
        // Here it counts at once, also when nobody else can be told.
        if change.due_ms <= now_ms {
            self.take_in(key, change, now_ms);
        }
        let mut attempt = 1;
        while let Err(error) = self.store.write(vec![Mutation::Put(put.clone())]).await {
            if attempt == ATTEMPTS_MAX {
                tracing::error!(%error, "a change of credentials is made, but the region could not be told");
                return Err(error);
            }
            attempt += 1;
        }
        Ok(())
    }

    fn take_in(&self, key: Key, change: AuthChange, now_ms: u64) {
        {
            let mut known = self.changes.known.lock();
            if known.taken.insert(key, now_ms).is_some() {
                return;
            }
            known.kept.push_back((now_ms, change.clone()));
            if known.kept.len() > KEPT_MAX {
                known.drop_first();
            }
        }
        // Counted before it is forgotten: see `keep`.
        self.changes.count.send_modify(|count| *count += 1);
        let Ok(app) = AppUuid::from_slice(&change.app) else { return };
        match (<[u8; 32]>::try_from(&change.token[..]), change.user) {
            (Ok(token), _) => {
                self.ended.insert((app, token), ());
                self.verdicts.invalidate(&(app, token));
            }
            (Err(_), user) if user.is_empty() => self.apps.invalidate(&app),
            (Err(_), user) => self.users.invalidate(&(app, user)),
        }
    }
}

impl Known {
    fn drop_first(&mut self) {
        if let Some((at_ms, _)) = self.kept.pop_front() {
            self.first += 1;
            self.whole_from_ms = self.whole_from_ms.max(at_ms + 1);
        }
    }
}
