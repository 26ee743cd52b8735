//! The one writer: takes all that waits, commits it in one batch, syncs once, answers everybody.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bulkhead_model::{Clock, Result};
use bulkhead_store::{Mutation, Put, RowKey, check_deadline};
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::requests::{Done, Request};
use crate::trees::{Change, TableIndex, Trees, engine_error};
use crate::{due, read, row};

/// Requests that one commit takes at the most.
const COMMIT_REQUESTS_MAX: usize = 1024;

/// An answer that waits for the commit.
enum Answer {
    Write(Done<()>),
    Insert(Done<Option<Bytes>>, Option<Bytes>),
    CompareAndSet(Done<bool>, bool),
    Sweep(Done<usize>, usize),
    Deleted(Done<()>),
}

/// What the commit will change: the last word for each key, because a tree cannot order two changes of one batch. What a
/// later request of the same commit asks for is judged by it.
type Overlay = BTreeMap<(TableIndex, Vec<u8>), Option<Vec<u8>>>;

/// A mutation of a write, checked and with everything read that it needs.
enum Staged {
    Change(Change),
    /// Removes a range: the keys that the tree has in it, and whatever the overlay will have by then.
    Clear(TableIndex, Range<Vec<u8>>, Vec<Vec<u8>>),
}

pub(crate) struct Writer {
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
        let now_ms = self.clock.now_ms();
        let due: Vec<Change> = overlay
            .iter()
            .filter_map(|((table, key), stored)| {
                let entry = due::entry_of(*table, key, stored.as_deref()?, now_ms)?;
                Some(((self.trees.due_index(), entry), Some(Vec::new())))
            })
            .collect();
        // Over what a sweep of the same commit removes.
        overlay.extend(due);
        let outcome = self.trees.commit(overlay);
        for answer in answers {
            answer.send(&outcome);
        }
    }

    /// Works one request into the overlay. A request that is wrong is answered at once and changes nothing.
    fn apply(&self, request: Request, overlay: &mut Overlay, answers: &mut Vec<Answer>) {
        match request {
            Request::Write { mutations, deadline_ms, done } => {
                match self.write(mutations, deadline_ms, overlay) {
                    Ok(()) => answers.push(Answer::Write(done)),
                    Err(error) => drop(done.send(Err(error))),
                }
            }
            Request::Insert { row, done } => match self.insert(&row, overlay) {
                Ok(existing) => answers.push(Answer::Insert(done, existing)),
                Err(error) => drop(done.send(Err(error))),
            },
            Request::CompareAndSet { key, expected, value, done } => {
                match self.compare_and_set(key, expected, value, overlay) {
                    Ok(applied) => answers.push(Answer::CompareAndSet(done, applied)),
                    Err(error) => drop(done.send(Err(error))),
                }
            }
            Request::Remove { table, keys, done } => match self.trees.of(table) {
                Ok((table, _)) => {
                    overlay.extend(keys.into_iter().map(|key| ((table, key), None)));
                    answers.push(Answer::Deleted(done));
                }
                Err(error) => drop(done.send(Err(error))),
            },
            Request::DeleteUnchanged { key, value, done } => {
                match self.delete_unchanged(&key, &value, overlay) {
                    Ok(()) => answers.push(Answer::Deleted(done)),
                    Err(error) => drop(done.send(Err(error))),
                }
            }
            Request::Sweep { entries, done } => match self.sweep(entries, overlay) {
                Ok(swept) => answers.push(Answer::Sweep(done, swept)),
                Err(error) => drop(done.send(Err(error))),
            },
        }
    }

    /// Everything that can fail happens before the first mutation touches the overlay, so that a write is taken whole or
    /// not at all.
    fn write(&self, mutations: Vec<Mutation>, deadline_ms: Option<u64>, overlay: &mut Overlay) -> Result<()> {
        if let Some(deadline_ms) = deadline_ms {
            // Here and not where it was queued: a write that waited for its turn may come too late by that.
            check_deadline(deadline_ms, self.clock.now_ms())?;
        }
        let mut staged = Vec::with_capacity(mutations.len());
        for mutation in mutations {
            staged.extend(self.stage(mutation)?);
        }
        for change in staged {
            match change {
                Staged::Change((key, stored)) => drop(overlay.insert(key, stored)),
                Staged::Clear(table, Range { start, end }, stored) => {
                    for (_, change) in overlay.range_mut((table, start)..(table, end)) {
                        *change = None;
                    }
                    overlay.extend(stored.into_iter().map(|key| ((table, key), None)));
                }
            }
        }
        Ok(())
    }

    /// `None` for a mutation that changes nothing.
    fn stage(&self, mutation: Mutation) -> Result<Option<Staged>> {
        Ok(Some(match mutation {
            Mutation::Put(put) => Staged::Change(self.change(&put)?),
            Mutation::Delete(key) => {
                let (table, _) = self.trees.of(key.table)?;
                Staged::Change(((table, row::key_of(&key)?), None))
            }
            Mutation::DeleteRange { table, scope, partition, from, to } => {
                let prefix = row::prefix_of(scope, &partition)?;
                let (table, tree) = self.trees.of(table)?;
                let Some(bounds) = read::bounds(&prefix, &from, &to)? else { return Ok(None) };
                let stored = tree.range::<Vec<u8>, _>(bounds.clone()).map(|guard| Ok(guard.key()?.to_vec()));
                let stored = stored.collect::<fjall::Result<_>>().map_err(engine_error)?;
                Staged::Clear(table, bounds, stored)
            }
        }))
    }

    fn insert(&self, put: &Put, overlay: &mut Overlay) -> Result<Option<Bytes>> {
        let existing = self.current(&put.key, overlay)?;
        if existing.is_none() {
            overlay.extend([self.change(put)?]);
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
        let equal = self.current(&key, overlay)? == expected;
        if equal {
            overlay.extend([self.change(&Put { key, value, expires_in_ms: None })?]);
        }
        Ok(equal)
    }

    fn delete_unchanged(&self, key: &RowKey, value: &Bytes, overlay: &mut Overlay) -> Result<()> {
        if self.current(key, overlay)?.as_ref() == Some(value) {
            let (table, _) = self.trees.of(key.table)?;
            overlay.insert((table, row::key_of(key)?), None);
        }
        Ok(())
    }

    fn sweep(&self, entries: Vec<Vec<u8>>, overlay: &mut Overlay) -> Result<usize> {
        let now_ms = self.clock.now_ms();
        let mut swept = 0;
        for entry in entries {
            if let Some((table, key)) = due::row_of(&entry)
                && let Some((_, tree)) = self.trees.tables().nth(table)
            {
                let stored = tree.get(key).map_err(engine_error)?;
                let key = (table, key.to_vec());
                // Written again since: it has a later entry.
                if stored.is_some_and(|stored| row::has_expired(&stored, now_ms))
                    && !overlay.contains_key(&key)
                {
                    overlay.insert(key, None);
                    swept += 1;
                }
            }
            overlay.insert((self.trees.due_index(), entry), None);
        }
        Ok(swept)
    }

    /// The value of a row as it will be after what is already in the overlay. The tree itself needs no snapshot here:
    /// nobody else writes.
    fn current(&self, key: &RowKey, overlay: &Overlay) -> Result<Option<Bytes>> {
        let (table, tree) = self.trees.of(key.table)?;
        let tree_key = (table, row::key_of(key)?);
        let stored = match overlay.get(&tree_key) {
            Some(staged) => staged.as_deref().map(Bytes::copy_from_slice),
            None => tree.get(&tree_key.1).map_err(engine_error)?.map(Bytes::from),
        };
        Ok(stored.and_then(|stored| row::unpack(&stored, self.clock.now_ms())))
    }

    fn change(&self, put: &Put) -> Result<Change> {
        let lives_ms = put.expires_in_ms.or(put.key.table.retention.own_life_ms());
        let expires_ms = lives_ms.map_or(0, |ms| self.clock.now_ms().saturating_add(ms));
        let (table, _) = self.trees.of(put.key.table)?;
        Ok(((table, row::key_of(&put.key)?), Some(row::pack(expires_ms, &put.value))))
    }
}

impl Answer {
    /// Answers with the outcome of the commit. Nobody may be waiting any more, which is no error.
    fn send(self, outcome: &Result<()>) {
        let failed = outcome.as_ref().err().cloned();
        match (self, failed) {
            (Answer::Write(done) | Answer::Deleted(done), failed) => {
                drop(done.send(failed.map_or(Ok(()), Err)))
            }
            (Answer::Insert(done, existing), failed) => drop(done.send(failed.map_or(Ok(existing), Err))),
            (Answer::CompareAndSet(done, applied), failed) => {
                drop(done.send(failed.map_or(Ok(applied), Err)))
            }
            (Answer::Sweep(done, swept), failed) => drop(done.send(failed.map_or(Ok(swept), Err))),
        }
    }
}
