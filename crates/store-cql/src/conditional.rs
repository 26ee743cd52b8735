//! Conditional writes: lightweight transactions, the only ones that this engine makes.
//!
//! A lightweight transaction takes its timestamp from a database node, a plain write from this process. So that neither
//! hides the other, the plain timestamps follow the database's clock ([`crate::timestamps`]), and after each conditional
//! write the row is read back: its timestamp lifts those of plain writes to come, and a row that does not show what was
//! written (a clock must be far off) is an outage, never a success.

use std::hash::{DefaultHasher, Hash, Hasher};

use bulkhead_model::{ErrorKind, Result};
use bulkhead_store::{Insert, Put, RowKey};
use bytes::Bytes;
use tokio::sync::Mutex;

use crate::bind::{Bind, Place};
use crate::bucket::ends_of;
use crate::engine::Engine;
use crate::failure::unavailable;
use crate::row::{Cell, check_key, unpack};
use crate::statements::TableStatements;

/// Attempts whose row changes under them, before a call answers `Conflict`.
const ATTEMPTS_MAX: usize = 16;

/// Locks that conditional writes of this process share, by hash of the row: those of one row wait here for each other,
/// because in the database they would only cost each other attempts.
const LOCKS: usize = 256;

/// The locks of conditional writes.
pub(crate) struct RowLocks(Vec<Mutex<()>>);

impl RowLocks {
    pub(crate) fn new() -> Self {
        Self((0..LOCKS).map(|_| Mutex::new(())).collect())
    }

    fn of(&self, place: &Place, clustering: &Bytes) -> &Mutex<()> {
        let mut hasher = DefaultHasher::new();
        (place, clustering).hash(&mut hasher);
        &self.0[hasher.finish() as usize % LOCKS]
    }
}

/// Writes the row unless there is one; answers the value that was there.
pub(crate) async fn insert_if_absent(engine: &Engine, row: Insert) -> Result<Option<Bytes>> {
    let attempt = Attempt::new(engine, row).await?;
    let _turn = engine.locks.of(&attempt.place, &attempt.clustering).lock().await;
    let mut current = None;
    for _ in 0..ATTEMPTS_MAX {
        match attempt.replace(&current).await? {
            Ok(()) => return Ok(None),
            Err(found) => current = found,
        }
        if let Some(value) = attempt.opened(&current) {
            return Ok(Some(value));
        }
    }
    Err(ErrorKind::Conflict.into())
}

/// Replaces the value when it is `expected` and answers whether it did.
pub(crate) async fn compare_and_set(
    engine: &Engine,
    key: RowKey,
    expected: Option<Bytes>,
    value: Bytes,
) -> Result<bool> {
    let attempt = Attempt::new(engine, Put { key, value, expires_in_ms: None }).await?;
    let _turn = engine.locks.of(&attempt.place, &attempt.clustering).lock().await;
    // What is absent needs no look: the condition itself says so.
    let mut current = if expected.is_some() { attempt.latest().await? } else { None };
    for _ in 0..ATTEMPTS_MAX {
        if attempt.opened(&current) != expected {
            return Ok(false);
        }
        match attempt.replace(&current).await? {
            Ok(()) => return Ok(true),
            // Another value, or the same one with another end.
            Err(found) => current = found,
        }
    }
    Err(ErrorKind::Conflict.into())
}

struct Attempt<'a> {
    engine: &'a Engine,
    statements: &'a TableStatements,
    place: Place,
    clustering: Bytes,
    cell: Cell,
}

impl<'a> Attempt<'a> {
    async fn new(engine: &'a Engine, put: Put) -> Result<Self> {
        check_key(&put.key)?;
        let statements = engine.statements.of(put.key.table)?;
        let place = Place::of(put.key.table, put.key.scope, &put.key.partition, &put.key.clustering);
        let cell = Cell::of(&put, engine.clock.now_ms());
        if let Some(bucket) = place.bucket {
            engine.register(&place, [(bucket, ends_of(cell.expires_ms))].into()).await?;
        }
        Ok(Self { engine, statements, place, clustering: put.key.clustering, cell })
    }

    fn opened(&self, current: &Option<Bytes>) -> Option<Bytes> {
        current.as_ref().and_then(|packed| unpack(packed, self.engine.clock.now_ms()))
    }

    /// The cell as it is, also an expired one.
    async fn latest(&self) -> Result<Option<Bytes>> {
        let values = self.place.between([], [Bind::Blob(self.clustering.clone())]);
        let mut rows = self.engine.client.rows::<(Option<Bytes>,)>(&self.statements.latest, values).await?;
        Ok(rows.pop().and_then(|(packed,)| packed))
    }

    /// Writes the cell when the row's is `current`, else answers the one that is there.
    async fn replace(&self, current: &Option<Bytes>) -> Result<Result<(), Option<Bytes>>> {
        self.engine.timestamps.settle().await;
        let before = [Bind::Int(self.cell.ttl_s), Bind::Blob(self.cell.packed.clone())];
        let condition = current.clone().map_or(Bind::Null, Bind::Blob);
        let values = self.place.between(before, [Bind::Blob(self.clustering.clone()), condition]);
        let outcome = self.engine.client.conditional(&self.statements.compare_and_set, values).await?;
        if outcome.is_ok() {
            self.read_back(current).await?;
        }
        Ok(outcome)
    }

    async fn read_back(&self, before: &Option<Bytes>) -> Result<()> {
        let values = self.place.between([], [Bind::Blob(self.clustering.clone())]);
        let rows = self.engine.client.rows::<(Option<Bytes>, Option<i64>)>(&self.statements.stamped, values);
        let row = rows.await?.pop();
        if let Some((_, Some(timestamp_us))) = row {
            self.engine.timestamps.seen(timestamp_us);
        }
        let shown = row.and_then(|(packed, _)| packed);
        if shown.as_ref() != Some(&self.cell.packed) && (shown.is_none() || shown == *before) {
            tracing::error!(
                table = self.place.table,
                "a conditional write is hidden by one of a later timestamp"
            );
            return Err(unavailable());
        }
        Ok(())
    }
}
