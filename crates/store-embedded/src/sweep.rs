//! Removes expired rows, a bounded number at a time.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bulkhead_model::{Clock, Result};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::due;
use crate::requests::{Request, Requests};
use crate::trees::Trees;

/// Rows removed in one step.
const STEP_ROWS_MAX: usize = 2000;

/// How the store cleans up after itself.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// From the end of one sweep to the beginning of the next.
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
    let mut swept = 0;
    loop {
        let (count, is_last) = step(trees, clock, requests).await?;
        swept += count;
        if is_last {
            return Ok(swept);
        }
    }
}

async fn sweep_for_ever(trees: &Trees, clock: &dyn Clock, requests: &Requests, settings: Settings) {
    loop {
        tokio::time::sleep(settings.sweep_pause).await;
        let mut swept = 0;
        // What failed is logged where it failed, and is tried again by the next sweep.
        while let Ok((count, is_last)) = step(trees, clock, requests).await {
            swept += count;
            if is_last {
                break;
            }
            tokio::time::sleep(settings.sweep_step_pause).await;
        }
        metrics::counter!("bulkhead_store_swept_rows_total").increment(swept as u64);
        tracing::debug!(swept, "swept expired rows");
    }
}

/// Removes some rows whose time has come; answers how many, and whether there are no more.
async fn step(trees: &Trees, clock: &dyn Clock, requests: &Requests) -> Result<(usize, bool)> {
    let entries = due::entries(trees, clock.now_ms(), STEP_ROWS_MAX)?;
    let is_last = entries.len() < STEP_ROWS_MAX;
    if entries.is_empty() {
        return Ok((0, true));
    }
    Ok((requests.ask(|done| Request::Sweep { entries, done }).await?, is_last))
}
