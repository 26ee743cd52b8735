//! The embedded engine with the manners of one that keeps partitions apart: a write may be cut off between two of them,
//! and what was given to it before may land later, under the time of its write.

use std::collections::HashMap;
use std::sync::Arc;

use bulkhead_model::{Entropy, ErrorKind, Result, SeededEntropy};
use bulkhead_store::{Mutation, RowKey, Store, tables};
use bulkhead_store_embedded::EmbeddedStore;
use parking_lot::Mutex;

pub(crate) struct Partitions {
    engine: Arc<EmbeddedStore>,
    state: Mutex<State>,
}

struct State {
    chance: SeededEntropy,
    /// The number of the last write.
    time: u64,
    rows: HashMap<Name, u64>,
    ranges: Vec<(u64, Mutation)>,
    late: Vec<(u64, Vec<Mutation>)>,
}

type Name = (&'static str, Vec<u8>, Vec<u8>, Vec<u8>);

/// What becomes of one partition of a write.
#[derive(PartialEq)]
enum Fate {
    Lands,
    LandsLate,
    IsLost,
}

impl Partitions {
    pub(crate) fn on(engine: Arc<EmbeddedStore>) -> Arc<Self> {
        let state = State {
            chance: SeededEntropy::new(1),
            time: 0,
            rows: HashMap::new(),
            ranges: Vec::new(),
            late: Vec::new(),
        };
        Arc::new(Self { engine, state: Mutex::new(state) })
    }

    /// Begins chance anew.
    pub(crate) fn seed(&self, seed: u64) {
        self.state.lock().chance = SeededEntropy::new(seed);
    }

    pub(crate) fn engine(&self) -> &Arc<EmbeddedStore> {
        &self.engine
    }

    /// Applies all of a write.
    pub(crate) async fn write(&self, mutations: Vec<Mutation>, deadline_ms: Option<u64>) -> Result<()> {
        self.state.lock().enter(&mutations);
        match deadline_ms {
            Some(deadline_ms) => self.engine.write_before(mutations, deadline_ms).await,
            None => self.engine.write(mutations).await,
        }
    }

    /// Leaves it to chance what becomes of a write, in the order that an engine keeps: messages and the memory of client
    /// ids come before the rest.
    pub(crate) async fn cut(&self, mutations: Vec<Mutation>) -> Result<()> {
        let mut landed = Vec::new();
        {
            let state = &mut *self.state.lock();
            state.time += 1;
            let comes_first = |partition: &[Mutation]| {
                [&tables::MESSAGES, &tables::DEDUP].contains(&table_of(&partition[0]))
            };
            let (first, then): (Vec<_>, Vec<_>) =
                partitions_of(mutations).into_iter().partition(|partition| comes_first(partition));
            for step in [first, then] {
                let mut whole = true;
                for partition in step {
                    let fate = state.fate();
                    whole &= fate == Fate::Lands;
                    match fate {
                        Fate::Lands => landed.extend(partition),
                        Fate::LandsLate => state.late.push((state.time, partition)),
                        Fate::IsLost => {}
                    }
                }
                if !whole {
                    break;
                }
            }
            let time = state.time;
            landed.iter().for_each(|mutation| state.note(time, mutation));
        }
        self.engine.write(landed).await?;
        Err(ErrorKind::Unavailable.into())
    }

    /// Something that was on its way arrives; false when there is nothing.
    pub(crate) async fn land_late(&self) -> bool {
        let landing = {
            let state = &mut *self.state.lock();
            let Some((time, partition)) = state.late.pop() else { return false };
            let lands =
                partition.into_iter().filter(|mutation| state.is_newest(time, mutation)).collect::<Vec<_>>();
            lands.iter().for_each(|mutation| state.note(time, mutation));
            lands
        };
        self.engine.write(landing).await.unwrap();
        true
    }

    /// A number below `bound`, the same for the same seed.
    pub(crate) fn chance(&self, bound: u8) -> u8 {
        self.state.lock().chance(bound)
    }
}

impl State {
    fn enter(&mut self, mutations: &[Mutation]) {
        self.time += 1;
        mutations.iter().for_each(|mutation| self.note(self.time, mutation));
    }

    fn note(&mut self, time: u64, mutation: &Mutation) {
        match mutation {
            Mutation::Put(put) => drop(self.rows.insert(name_of(&put.key), time)),
            Mutation::Delete(key) => drop(self.rows.insert(name_of(key), time)),
            range @ Mutation::DeleteRange { .. } => self.ranges.push((time, range.clone())),
        }
    }

    fn is_newest(&self, time: u64, mutation: &Mutation) -> bool {
        let key = match mutation {
            Mutation::Put(put) => &put.key,
            Mutation::Delete(key) => key,
            // It would have to spare what is newer.
            Mutation::DeleteRange { .. } => return false,
        };
        let is_overwritten = self.rows.get(&name_of(key)).is_some_and(|newer| *newer > time);
        let is_deleted = |(newer, range): &(u64, Mutation)| *newer > time && covers(range, key);
        !is_overwritten && !self.ranges.iter().any(is_deleted)
    }

    fn fate(&mut self) -> Fate {
        match self.chance(4) {
            0 | 1 => Fate::Lands,
            2 => Fate::LandsLate,
            _ => Fate::IsLost,
        }
    }

    fn chance(&mut self, bound: u8) -> u8 {
        let mut byte = [0];
        self.chance.fill(&mut byte);
        byte[0] % bound
    }
}

fn covers(range: &Mutation, key: &RowKey) -> bool {
    let Mutation::DeleteRange { table, scope, partition, from, to } = range else { return false };
    *table == key.table
        && scope.as_bytes() == key.scope_bytes()
        && *partition == key.partition
        && *from <= key.clustering
        && (to.is_empty() || key.clustering < *to)
}

fn table_of(mutation: &Mutation) -> &'static bulkhead_store::Table {
    match mutation {
        Mutation::Put(put) => put.key.table,
        Mutation::Delete(key) => key.table,
        Mutation::DeleteRange { table, .. } => table,
    }
}

fn name_of(key: &RowKey) -> Name {
    (key.table.name, key.scope_bytes().to_vec(), key.partition.to_vec(), key.clustering.to_vec())
}

fn partitions_of(mutations: Vec<Mutation>) -> Vec<Vec<Mutation>> {
    let mut partitions: Vec<(Name, Vec<Mutation>)> = Vec::new();
    for mutation in mutations {
        let (table, scope, partition) = match &mutation {
            Mutation::Put(put) => (put.key.table, put.key.scope, &put.key.partition),
            Mutation::Delete(key) => (key.table, key.scope, &key.partition),
            Mutation::DeleteRange { table, scope, partition, .. } => (*table, *scope, partition),
        };
        let name = (table.name, scope.as_bytes().to_vec(), partition.to_vec(), Vec::new());
        match partitions.iter_mut().find(|(known, _)| *known == name) {
            Some((_, partition)) => partition.push(mutation),
            None => partitions.push((name, vec![mutation])),
        }
    }
    partitions.into_iter().map(|(_, partition)| partition).collect()
}
