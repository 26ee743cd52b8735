//! The one writer: takes all that waits, commits it in one batch, syncs once, answers everybody.

use std::collections::BTreeMap;
use std::sync::Arc;

use bulkhead_model::{Clock, Result};
use bulkhead_store::{Mutation, Put, Retention, RowKey, Table};
use bytes::Bytes;
use fjall::{Database, PersistMode};
use tokio::sync::{mpsc, oneshot};

use crate::engine::{Trees, engine_error};
use crate::requests::Request;
use crate::{read, row};

/// Requests that one commit takes at the most.
const COMMIT_REQUESTS_MAX: usize = 1024;

/// An answer that waits for the commit.
enum Answer {
    Write(oneshot::Sender<Result<()>>),
    Insert(oneshot::Sender<Result<Option<Bytes>>>, Option<Bytes>),
    CompareAndSet(oneshot::Sender<Result<bool>>, bool),
    Sweep(oneshot::Sender<Result<usize>>, usize),
}

/// What the batch will change: the last word for each key, because a tree cannot order two changes of one batch.
type Overlay = BTreeMap<TreeKey, Change>;

/// Table name and key in its tree.
type TreeKey = (&'static str, Vec<u8>);

/// The stored form to be written, or `None` to remove the row.
type Change = Option<Vec<u8>>;

pub(crate) struct Writer {
    pub(crate) database: Database,
    pub(crate) trees: Arc<Trees>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Writer {
    /// Runs until every sender is gone and everything that waited is committed.
    pub(crate) fn run(self, mut requests: mpsc::Receiver<Request>) {
        let mut waiting = Vec::with_capacity(COMMIT_REQUESTS_MAX);
        while requests.blocking_recv_many(&mut waiting, COMMIT_REQUESTS_MAX) > 0 {
            metrics::histogram!("bulkhead_store_commit_requests").record(waiting.len() as f64);
            self.commit(&mut waiting);
        }
    }

    fn commit(&self, waiting: &mut Vec<Request>) {
        let mut overlay = Overlay::new();
        let mut answers = Vec::with_capacity(waiting.len());
        for request in waiting.drain(..) {
            self.apply(request, &mut overlay, &mut answers);
        }
        let outcome = self.persist(overlay);
        for answer in answers {
            answer.send(&outcome);
        }
    }

    fn persist(&self, overlay: Overlay) -> Result<()> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for ((table, key), value) in overlay {
            let tree = self.trees.by_name(table)?;
            match value {
                Some(value) => batch.insert(tree, key, value),
                None => batch.remove(tree, key),
            }
        }
        batch.commit().map_err(engine_error)
    }

    /// Works one request into the overlay. A request that is wrong is answered at once and changes nothing.
    fn apply(&self, request: Request, overlay: &mut Overlay, answers: &mut Vec<Answer>) {
        match request {
            Request::Write { mutations, done } => match self.stage(mutations, overlay) {
                Ok(()) => answers.push(Answer::Write(done)),
                Err(error) => drop(done.send(Err(error))),
            },
            Request::Insert { row: put, done } => match self.insert(put, overlay) {
                Ok(existing) => answers.push(Answer::Insert(done, existing)),
                Err(error) => drop(done.send(Err(error))),
            },
            Request::CompareAndSet { key, expected, value, done } => {
                match self.compare_and_set(key, expected, value, overlay) {
                    Ok(applied) => answers.push(Answer::CompareAndSet(done, applied)),
                    Err(error) => drop(done.send(Err(error))),
                }
            }
            Request::Sweep { table, keys, done } => match self.sweep(table, keys, overlay) {
                Ok(swept) => answers.push(Answer::Sweep(done, swept)),
                Err(error) => drop(done.send(Err(error))),
            },
        }
    }

    /// Checks every mutation before the first one is staged, so that a write is taken whole or not at all.
    fn stage(&self, mutations: Vec<Mutation>, overlay: &mut Overlay) -> Result<()> {
        let mut staged = Vec::with_capacity(mutations.len());
        for mutation in mutations {
            match mutation {
                Mutation::Put(put) => staged.push(self.staged_put(&put)?),
                Mutation::Delete(key) => staged.push(((key.table.name, row::key_of(&key)?), None)),
                Mutation::DeleteRange { table, scope, partition, from, to } => {
                    let prefix = row::prefix_of(scope, &partition)?;
                    let Some(bounds) = read::bounds(&prefix, &from, &to)? else { continue };
                    for guard in self.trees.of(table)?.range::<Vec<u8>, _>(bounds.clone()) {
                        let key = guard.key().map_err(engine_error)?;
                        staged.push(((table.name, key.to_vec()), None));
                    }
                    // What earlier requests of this commit, or earlier mutations of this write, put into the range.
                    let inside = |name: &str, key: &Vec<u8>| {
                        name == table.name && std::ops::RangeBounds::contains(&bounds, key)
                    };
                    let earlier: Vec<_> = overlay
                        .keys()
                        .chain(staged.iter().map(|(key, _)| key))
                        .filter(|(name, key)| inside(name, key))
                        .cloned()
                        .collect();
                    staged.extend(earlier.into_iter().map(|key| (key, None)));
                }
            }
        }
        overlay.extend(staged);
        Ok(())
    }

    fn insert(&self, put: Put, overlay: &mut Overlay) -> Result<Option<Bytes>> {
        let existing = self.current(&put.key, overlay)?;
        if existing.is_none() {
            let (key, value) = self.staged_put(&put)?;
            overlay.insert(key, value);
        }
        Ok(existing)
    }

    fn compare_and_set(
        &self,
        key: RowKey,
        expected: Option<Bytes>,
        value: Bytes,
        overlay: &mut Overlay,
    ) -> Result<bool> {
        if self.current(&key, overlay)? != expected {
            return Ok(false);
        }
        let (key, value) = self.staged_put(&Put { key, value, expires_in_ms: None })?;
        overlay.insert(key, value);
        Ok(true)
    }

    fn sweep(&self, table: &'static Table, keys: Vec<Vec<u8>>, overlay: &mut Overlay) -> Result<usize> {
        let tree = self.trees.of(table)?;
        let now_ms = self.clock.now_ms();
        let mut swept = 0;
        for key in keys {
            let stored = tree.get(&key).map_err(engine_error)?;
            let name = (table.name, key);
            // Written again since it was found: leave it.
            if stored.is_some_and(|stored| row::has_expired(&stored, now_ms)) && !overlay.contains_key(&name)
            {
                overlay.insert(name, None);
                swept += 1;
            }
        }
        Ok(swept)
    }

    /// The value of a row as it will be after what is already in the overlay.
    fn current(&self, key: &RowKey, overlay: &Overlay) -> Result<Option<Bytes>> {
        let now_ms = self.clock.now_ms();
        match overlay.get(&(key.table.name, row::key_of(key)?)) {
            Some(staged) => {
                Ok(staged.as_ref().and_then(|stored| row::unpack(&Bytes::copy_from_slice(stored), now_ms)))
            }
            None => read::get(&self.trees, key, now_ms),
        }
    }

    fn staged_put(&self, put: &Put) -> Result<(TreeKey, Change)> {
        let lives_ms = put.expires_in_ms.or(match put.key.table.retention {
            Retention::Fixed { ms } => Some(ms),
            // The plan belongs to the app, which only the storage service knows.
            Retention::Plan | Retention::Forever => None,
        });
        let expires_ms = lives_ms.map_or(0, |ms| self.clock.now_ms().saturating_add(ms));
        Ok(((put.key.table.name, row::key_of(&put.key)?), Some(row::pack(expires_ms, &put.value))))
    }
}

impl Answer {
    /// Answers with the outcome of the commit. Nobody may be waiting any more, which is no error.
    fn send(self, outcome: &Result<()>) {
        let failed = outcome.as_ref().err().cloned();
        match (self, failed) {
            (Answer::Write(done), failed) => drop(done.send(failed.map_or(Ok(()), Err))),
            (Answer::Insert(done, existing), failed) => drop(done.send(failed.map_or(Ok(existing), Err))),
            (Answer::CompareAndSet(done, applied), failed) => {
                drop(done.send(failed.map_or(Ok(applied), Err)))
            }
            (Answer::Sweep(done, swept), failed) => drop(done.send(failed.map_or(Ok(swept), Err))),
        }
    }
}
