//! What lies between the routers of the tests and their engine, and between each other, with switches.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use bulkhead_bus::{
    BusSink, Entry, LocalHub, LocalRegistry, Registry, RegistryPut, SlotSet, Topic, queue as bus_queue,
};
use bulkhead_model::{ErrorKind, ManualClock, Result};
use bulkhead_router::RouterBus;
use bulkhead_store::{Insert, Mutation, Row, RowKey, Scan, Store};
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::partitions::Partitions;

/// What the store does with writes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Writes {
    Apply,
    /// Waits until this is changed.
    Hold,
    /// Does nothing and fails.
    Refuse,
    /// Applies some, now or later, and fails, like an engine that keeps partitions apart and is cut off.
    Cut,
    /// Applies them and fails, like a connection that breaks before the answer.
    ApplyAndFail,
}

/// The engine with a switch on its writes.
pub(crate) struct SwitchedStore {
    database: Arc<Partitions>,
    writes: watch::Sender<Writes>,
    /// Writes that a router has sent and that have not ended, whether it still waits for them or not.
    under_way: Arc<AtomicUsize>,
}

impl SwitchedStore {
    pub(crate) fn on(database: &Arc<Partitions>) -> Arc<Self> {
        let writes = watch::Sender::new(Writes::Apply);
        Arc::new(Self { database: database.clone(), writes, under_way: Arc::default() })
    }

    /// How many writes with a deadline are on their way.
    pub(crate) fn under_way(&self) -> usize {
        self.under_way.load(Ordering::SeqCst)
    }

    pub(crate) fn set(&self, writes: Writes) {
        self.writes.send_replace(writes);
    }

    async fn writes(&self) -> Writes {
        *self.writes.subscribe().wait_for(|writes| *writes != Writes::Hold).await.unwrap()
    }
}

#[async_trait]
impl Store for SwitchedStore {
    async fn write(&self, mutations: Vec<Mutation>) -> Result<()> {
        match self.writes().await {
            Writes::Refuse => Err(ErrorKind::Unavailable.into()),
            Writes::Cut => self.database.cut(mutations).await,
            Writes::ApplyAndFail => {
                self.database.write(mutations, None).await?;
                Err(ErrorKind::Unavailable.into())
            }
            Writes::Apply | Writes::Hold => self.database.write(mutations, None).await,
        }
    }

    /// Like a request that has left: it arrives whether its sender still waits or not.
    async fn write_before(&self, mutations: Vec<Mutation>, deadline_ms: u64) -> Result<()> {
        let (database, writes, under_way) =
            (self.database.clone(), self.writes.subscribe(), self.under_way.clone());
        under_way.fetch_add(1, Ordering::SeqCst);
        let write = tokio::spawn(async move {
            let writes = *{ writes }.wait_for(|writes| *writes != Writes::Hold).await.unwrap();
            let outcome = match writes {
                Writes::Refuse => Err(ErrorKind::Unavailable.into()),
                Writes::Cut => database.cut(mutations).await,
                Writes::ApplyAndFail => {
                    let written = database.write(mutations, Some(deadline_ms)).await;
                    written.and(Err(ErrorKind::Unavailable.into()))
                }
                Writes::Apply | Writes::Hold => database.write(mutations, Some(deadline_ms)).await,
            };
            under_way.fetch_sub(1, Ordering::SeqCst);
            outcome
        });
        write.await.unwrap()
    }

    async fn insert_if_absent(&self, row: Insert) -> Result<Option<Bytes>> {
        self.database.engine().insert_if_absent(row).await
    }

    async fn compare_and_set(&self, key: RowKey, expected: Option<Bytes>, value: Bytes) -> Result<bool> {
        if self.writes().await == Writes::Refuse {
            return Err(ErrorKind::Unavailable.into());
        }
        self.database.engine().compare_and_set(key, expected, value).await
    }

    async fn get_many(&self, keys: Vec<RowKey>) -> Result<Vec<Option<Bytes>>> {
        self.database.engine().get_many(keys).await
    }

    async fn scan(&self, scan: Scan) -> Result<Vec<Row>> {
        self.database.engine().scan(scan).await
    }
}

/// A registry that answers, or not, and that can forget.
pub(crate) struct SwitchedRegistry {
    clock: Arc<ManualClock>,
    held: RwLock<Arc<LocalRegistry>>,
    answers: AtomicBool,
    puts: AtomicUsize,
    refused: AtomicUsize,
}

impl SwitchedRegistry {
    pub(crate) fn held(&self) -> Arc<LocalRegistry> {
        self.held.read().clone()
    }

    /// Calls that it has not answered.
    pub(crate) fn refused(&self) -> usize {
        self.refused.load(Ordering::SeqCst)
    }

    /// Calls that have put something.
    pub(crate) fn puts(&self) -> usize {
        self.puts.load(Ordering::SeqCst)
    }

    pub(crate) fn forget(&self) {
        *self.held.write() = LocalRegistry::new(self.clock.clone());
    }

    pub(crate) fn set_answers(&self, answers: bool) {
        self.answers.store(answers, Ordering::SeqCst);
    }

    fn check(&self) -> Result<()> {
        if self.answers.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.refused.fetch_add(1, Ordering::SeqCst);
        Err(ErrorKind::Unavailable.into())
    }
}

#[async_trait]
impl Registry for SwitchedRegistry {
    async fn put(&self, puts: Vec<RegistryPut>, ttl_ms: u64) -> Result<()> {
        self.check()?;
        self.held().put(puts, ttl_ms).await?;
        self.puts.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn remove(&self, fields: Vec<(Topic, Bytes)>) -> Result<()> {
        self.check()?;
        self.held().remove(fields).await
    }

    async fn list(&self, keys: Vec<Topic>) -> Result<Vec<Vec<Entry>>> {
        self.check()?;
        self.held().list(keys).await
    }
}

/// How the routers of a bed reach each other.
pub(crate) struct Between {
    hub: Arc<LocalHub>,
    pub(crate) registry: Arc<SwitchedRegistry>,
    sinks: Mutex<Vec<Arc<dyn BusSink>>>,
}

impl Between {
    pub(crate) fn new(clock: &Arc<ManualClock>) -> Self {
        let registry = SwitchedRegistry {
            clock: clock.clone(),
            held: RwLock::new(LocalRegistry::new(clock.clone())),
            answers: AtomicBool::new(true),
            puts: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
        };
        Self { hub: LocalHub::new(), registry: Arc::new(registry), sinks: Mutex::default() }
    }

    /// Tells every router that frames of these slots may be missing.
    pub(crate) fn gap(&self, slots: &SlotSet) {
        self.sinks.lock().iter().for_each(|sink| sink.gap(slots));
    }

    pub(crate) fn join(&self) -> RouterBus {
        let (sink, events) = bus_queue(10_000, 10_000_000);
        self.sinks.lock().push(sink.clone());
        RouterBus { bus: self.hub.attach(sink), events, registry: self.registry.clone() }
    }
}
