//! Opening, closing and the port itself.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bulkhead_model::{Clock, ErrorKind, Region, Result};
use bulkhead_store::{
    Engine, Insert, Mutation, Row, RowKey, RowRange, Scan, Store, Table, WRITE_MUTATIONS_MAX, tables,
};
use bytes::Bytes;
use parking_lot::RwLock;

use crate::requests::{Request, Requests, closed};
use crate::sweep::Sweeper;
use crate::trees::Trees;
use crate::writer::Writer;
use crate::{OpenError, Settings, mark, read, row};

/// Rows of a range that are forgotten in one commit: other writes come in between.
const FORGOTTEN_TOGETHER: usize = 1000;

/// The storage port on a folder of this machine. Values are stored as they come: sealing is the storage service's.
///
/// Dropped without [`EmbeddedStore::close`], it does the same, on the thread that drops it.
pub struct EmbeddedStore {
    /// Before the requests: the sweeper sends some.
    sweeper: Sweeper,
    requests: Arc<Requests>,
    /// None once it is closed.
    trees: RwLock<Option<Arc<Trees>>>,
    clock: Arc<dyn Clock>,
}

impl EmbeddedStore {
    /// Opens the folder, or makes it. One process at a time can have it open.
    pub fn open(path: &Path, region: Region, clock: Arc<dyn Clock>) -> Result<Arc<Self>, OpenError> {
        Self::open_with(path, region, clock, Settings::default())
    }

    /// [`EmbeddedStore::open`] with other settings.
    pub fn open_with(
        path: &Path,
        region: Region,
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Result<Arc<Self>, OpenError> {
        Self::open_tables(path, region, &tables::ALL, clock, settings)
    }

    /// The same with other tables than a region's, for a process that is not part of one.
    pub fn open_tables(
        path: &Path,
        region: Region,
        tables: &'static [&'static Table],
        clock: Arc<dyn Clock>,
        settings: Settings,
    ) -> Result<Arc<Self>, OpenError> {
        mark::check_or_make(path, region, clock.now_ms())?;
        let trees = Arc::new(Trees::open(&path.join(mark::TREES_FOLDER), tables, clock.now_ms())?);
        let io = |source| OpenError::Io { path: path.display().to_string(), source };
        mark::sync_folder(path).map_err(io)?;
        let writer = Writer { trees: trees.clone(), clock: clock.clone() };
        let requests = Arc::new(Requests::start(writer).map_err(io)?);
        let sweeper = Sweeper::start(trees.clone(), clock.clone(), requests.clone(), settings).map_err(io)?;
        Ok(Arc::new(Self { sweeper, requests, trees: RwLock::new(Some(trees)), clock }))
    }

    /// Commits what waits and lets go of the folder; later calls answer `Unavailable`.
    pub async fn close(self: &Arc<Self>) {
        let store = self.clone();
        // A task that panicked has nothing left to commit; its callers were told that it is gone.
        let _ = tokio::task::spawn_blocking(move || store.close_blocking()).await;
    }

    /// Removes every row that has expired and answers how many there were. The store does so by itself too, a few rows
    /// at a time.
    ///
    /// Expired rows are never served; the sweep gives their space back and makes sure that they are gone.
    pub async fn sweep(&self) -> Result<usize> {
        crate::sweep::sweep_all(&*self.trees()?, &*self.clock, &self.requests).await
    }

    /// Writes the files anew, so that they hold nothing of rows that are gone. The engine does that by itself as it comes
    /// to it; this costs as much as there is.
    pub async fn compact(&self) -> Result<()> {
        let trees = self.trees()?;
        let compacted = tokio::task::spawn_blocking(move || trees.compact()).await;
        compacted.unwrap_or_else(|_| Err(closed()))
    }

    fn close_blocking(&self) {
        self.sweeper.stop();
        self.requests.stop();
        let trees = self.trees.write().take();
        drop(trees);
    }

    async fn write_until(&self, mutations: Vec<Mutation>, deadline_ms: Option<u64>) -> Result<()> {
        if mutations.len() > WRITE_MUTATIONS_MAX {
            return Err(ErrorKind::InvalidArgument.with("too many mutations in one write"));
        }
        self.requests.ask(|done| Request::Write { mutations, deadline_ms, done }).await
    }

    fn trees(&self) -> Result<Arc<Trees>> {
        self.trees.read().clone().ok_or_else(closed)
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        self.close_blocking();
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn write(&self, mutations: Vec<Mutation>) -> Result<()> {
        self.write_until(mutations, None).await
    }

    async fn write_before(&self, mutations: Vec<Mutation>, deadline_ms: u64) -> Result<()> {
        self.write_until(mutations, Some(deadline_ms)).await
    }

    async fn insert_if_absent(&self, row: Insert) -> Result<Option<Bytes>> {
        self.requests.ask(|done| Request::Insert { row, done }).await
    }

    async fn compare_and_set(&self, key: RowKey, expected: Option<Bytes>, value: Bytes) -> Result<bool> {
        self.requests.ask(|done| Request::CompareAndSet { key, expected, value, done }).await
    }

    async fn get_many(&self, keys: Vec<RowKey>) -> Result<Vec<Option<Bytes>>> {
        read::get_many(&*self.trees()?, &keys, self.clock.now_ms())
    }

    async fn scan(&self, scan: Scan) -> Result<Vec<Row>> {
        read::scan(&*self.trees()?, &scan, self.clock.now_ms())
    }
}

#[async_trait]
impl Engine for EmbeddedStore {
    async fn forget_range(&self, range: RowRange) -> Result<()> {
        let prefix = row::prefix_of(range.scope, &range.partition)?;
        let Some(mut bounds) = read::bounds(&prefix, &range.from, &range.to)? else { return Ok(()) };
        let table = range.table;
        loop {
            let keys = read::keys(&*self.trees()?, table, bounds.clone(), FORGOTTEN_TOGETHER)?;
            let Some(last) = keys.last().cloned() else { return Ok(()) };
            let is_whole = keys.len() < FORGOTTEN_TOGETHER;
            self.requests.ask(|done| Request::Remove { table, keys, done }).await?;
            if is_whole {
                return Ok(());
            }
            // What was removed is not walked over again.
            bounds.start = last;
            bounds.start.push(0);
        }
    }

    async fn delete_unchanged(&self, key: RowKey, value: Bytes) -> Result<()> {
        self.requests.ask(|done| Request::DeleteUnchanged { key, value, done }).await
    }
}
