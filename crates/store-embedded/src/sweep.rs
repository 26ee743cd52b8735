//! Removes expired rows, a bounded number at a time.

use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bulkhead_model::{Clock, Result};
use bulkhead_store::Table;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::requests::{Request, Requests};
use crate::row;
use crate::trees::{Trees, engine_error};

/// Rows looked at in one step.
const STEP_ROWS_MAX: usize = 2000;

/// How the store cleans up after itself.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// From the end of one sweep through all tables to the beginning of the next.
    pub sweep_pause: Duration,
    /// Between two steps of a sweep, each of at most 2000 rows: other work goes first.
    pub sweep_step_pause: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { sweep_pause: Duration::from_secs(600), sweep_step_pause: Duration::from_millis(100) }
    }
}

/// The thread that sweeps by itself.
pub(crate) struct Sweeper {
    stop: Mutex<Option<oneshot::Sender<()>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Sweeper {
    pub(crate) fn start(
        trees: Arc<Trees>,
        clock: Arc<dyn Clock>,
        requests: Arc<Requests>,
        settings: Settings,
    ) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel::<()>();
        let run = async move {
            tokio::select! {
                _ = stopped => {}
                () = sweep_for_ever(&trees, &*clock, &requests, settings) => {}
            }
        };
        let thread = std::thread::Builder::new().name("store-sweeper".to_owned()).spawn(move || {
            match tokio::runtime::Builder::new_current_thread().enable_time().build() {
                Ok(runtime) => runtime.block_on(run),
                Err(error) => tracing::error!(%error, "expired rows are hidden but not removed"),
            }
        })?;
        Ok(Self { stop: Mutex::new(Some(stop)), thread: Mutex::new(Some(thread)) })
    }

    /// Ends the thread, at the latest after its current step.
    pub(crate) fn stop(&self) {
        self.stop.lock().take();
        if let Some(thread) = self.thread.lock().take() {
            // One that panicked has stopped too.
            let _ = thread.join();
        }
    }
}

/// Removes every row that has expired and answers how many there were.
pub(crate) async fn sweep_all(trees: &Trees, clock: &dyn Clock, requests: &Requests) -> Result<usize> {
    let (mut swept, mut place) = (0, Some(Place::FIRST));
    while let Some(from) = place {
        let (count, next) = step(trees, clock, requests, from).await?;
        swept += count;
        place = next;
    }
    Ok(swept)
}

async fn sweep_for_ever(trees: &Trees, clock: &dyn Clock, requests: &Requests, settings: Settings) {
    loop {
        tokio::time::sleep(settings.sweep_pause).await;
        let (mut swept, mut place) = (0, Some(Place::FIRST));
        while let Some(from) = place {
            // What failed is logged where it failed, and is tried again by the next sweep.
            let Ok((count, next)) = step(trees, clock, requests, from).await else { break };
            swept += count;
            place = next;
            tokio::time::sleep(settings.sweep_step_pause).await;
        }
        metrics::counter!("bulkhead_store_swept_rows_total").increment(swept as u64);
        tracing::debug!(swept, "swept expired rows");
    }
}

/// Where a sweep goes on.
struct Place {
    table: usize,
    after: Bound<Vec<u8>>,
}

impl Place {
    const FIRST: Self = Self { table: 0, after: Bound::Unbounded };
}

/// Looks at some rows and removes the expired ones; answers how many, and where to go on unless it was the end.
async fn step(
    trees: &Trees,
    clock: &dyn Clock,
    requests: &Requests,
    place: Place,
) -> Result<(usize, Option<Place>)> {
    let Some(table) = trees.tables.get(place.table).copied() else { return Ok((0, None)) };
    let Found { expired, last } = find_expired(trees, table, place.after, clock.now_ms())?;
    let swept = match expired.is_empty() {
        true => 0,
        false => requests.ask(|done| Request::Sweep { table, keys: expired, done }).await?,
    };
    let next = match last {
        Some(last) => Place { table: place.table, after: Bound::Excluded(last) },
        None => Place { table: place.table + 1, after: Bound::Unbounded },
    };
    Ok((swept, Some(next)))
}

/// Expired keys among the next rows, and the last key looked at unless the table has no more.
struct Found {
    expired: Vec<Vec<u8>>,
    last: Option<Vec<u8>>,
}

fn find_expired(trees: &Trees, table: &Table, after: Bound<Vec<u8>>, now_ms: u64) -> Result<Found> {
    let mut expired = Vec::new();
    let (_, tree) = trees.of(table)?;
    for (looked_at, guard) in tree.range::<Vec<u8>, _>((after, Bound::Unbounded)).enumerate() {
        let (key, stored) = guard.into_inner().map_err(engine_error)?;
        if row::has_expired(&stored, now_ms) {
            expired.push(key.to_vec());
        }
        if looked_at + 1 == STEP_ROWS_MAX {
            return Ok(Found { expired, last: Some(key.to_vec()) });
        }
    }
    Ok(Found { expired, last: None })
}
