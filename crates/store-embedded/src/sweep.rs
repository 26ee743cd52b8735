//! Removes expired rows, a bounded number at a time.

use bulkhead_model::Result;
use bulkhead_store::{Table, tables};
use std::ops::Bound;
use tokio::sync::oneshot;

use crate::EmbeddedStore;
use crate::engine::engine_error;
use crate::requests::{Request, closed};
use crate::row;

/// Rows looked at in one step; between steps other writes go on.
const STEP_ROWS_MAX: usize = 2000;

impl EmbeddedStore {
    /// Removes every row that has expired and answers how many there were.
    ///
    /// Expired rows are never served; the sweep gives their space back and makes sure that they are gone.
    pub async fn sweep(&self) -> Result<usize> {
        let mut swept = 0;
        for table in tables::ALL {
            let mut after = Bound::Unbounded;
            loop {
                let step = self.find_expired(table, after)?;
                if !step.expired.is_empty() {
                    let (done, outcome) = oneshot::channel();
                    self.ask(Request::Sweep { table, keys: step.expired, done }).await?;
                    swept += outcome.await.map_err(|_| closed())??;
                }
                match step.last {
                    Some(last) => after = Bound::Excluded(last),
                    None => break,
                }
            }
        }
        Ok(swept)
    }

    fn find_expired(&self, table: &'static Table, after: Bound<Vec<u8>>) -> Result<Step> {
        let now_ms = self.now_ms();
        let mut expired = Vec::new();
        let rows = self.trees().of(table)?.range::<Vec<u8>, _>((after, Bound::Unbounded));
        for (looked_at, guard) in rows.enumerate() {
            let (key, stored) = guard.into_inner().map_err(engine_error)?;
            if row::has_expired(&stored, now_ms) {
                expired.push(key.to_vec());
            }
            if looked_at + 1 == STEP_ROWS_MAX {
                return Ok(Step { expired, last: Some(key.to_vec()) });
            }
        }
        Ok(Step { expired, last: None })
    }
}

/// What one step found: expired keys, and the last key it looked at unless it came to the end.
struct Step {
    expired: Vec<Vec<u8>>,
    last: Option<Vec<u8>>,
}
