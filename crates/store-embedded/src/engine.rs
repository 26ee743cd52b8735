//! Opening, closing and the port itself.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bulkhead_model::{Clock, Error, ErrorKind, Region, Result};
use bulkhead_store::{
    Insert, Mutation, Row, RowKey, SCAN_ROWS_MAX, Scan, Store, Table, WRITE_MUTATIONS_MAX, tables,
};
use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions};
use tokio::sync::oneshot;

use crate::requests::{Request, Requests, closed};
use crate::writer::Writer;
use crate::{OpenError, mark, read};

/// Bytes of blocks kept in memory.
const CACHE_BYTES: u64 = 64 * 1024 * 1024;

/// One tree for each declared table.
pub(crate) struct Trees(Vec<(&'static Table, Keyspace)>);

impl Trees {
    /// The tree of a table; every declared table has one.
    pub(crate) fn of(&self, table: &'static Table) -> Result<&Keyspace> {
        self.by_name(table.name)
    }

    /// The tree of a table name.
    pub(crate) fn by_name(&self, name: &str) -> Result<&Keyspace> {
        // A dozen tables: a walk beats a hash.
        let found = self.0.iter().find(|(table, _)| table.name == name);
        found.map(|(_, tree)| tree).ok_or_else(|| ErrorKind::InvalidArgument.with("no such table"))
    }
}

/// The storage port on a folder of this machine. Values are stored as they come: sealing is the storage service's.
pub struct EmbeddedStore {
    trees: Arc<Trees>,
    clock: Arc<dyn Clock>,
    requests: Requests,
}

impl EmbeddedStore {
    /// Opens the folder, or makes it. One process at a time can have it open.
    pub fn open(path: &Path, region: Region, clock: Arc<dyn Clock>) -> Result<Arc<Self>, OpenError> {
        mark::check_or_make(path, region)?;
        let failed = |error| open_error(path, error);
        let database = Database::builder(path.join("rows")).cache_size(CACHE_BYTES).open().map_err(failed)?;
        let mut trees = Vec::with_capacity(tables::ALL.len());
        for table in tables::ALL {
            let tree = database.keyspace(table.name, KeyspaceCreateOptions::default).map_err(failed)?;
            trees.push((table, tree));
        }
        let trees = Arc::new(Trees(trees));
        let writer = Writer { database, trees: trees.clone(), clock: clock.clone() };
        let requests = Requests::start(writer)
            .map_err(|source| OpenError::Io { path: path.display().to_string(), source })?;
        Ok(Arc::new(Self { trees, clock, requests }))
    }

    /// Commits what waits and closes the folder; later calls answer `Unavailable`.
    pub async fn close(&self) {
        self.requests.close().await;
    }

    pub(crate) async fn ask(&self, request: Request) -> Result<()> {
        self.requests.send(request).await
    }

    pub(crate) fn trees(&self) -> &Trees {
        &self.trees
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn write(&self, mutations: Vec<Mutation>) -> Result<()> {
        if mutations.len() > WRITE_MUTATIONS_MAX {
            return Err(ErrorKind::InvalidArgument.with("too many mutations in one write"));
        }
        let (done, outcome) = oneshot::channel();
        self.ask(Request::Write { mutations, done }).await?;
        outcome.await.map_err(|_| closed())?
    }

    async fn insert_if_absent(&self, row: Insert) -> Result<Option<Bytes>> {
        let (done, outcome) = oneshot::channel();
        self.ask(Request::Insert { row, done }).await?;
        outcome.await.map_err(|_| closed())?
    }

    async fn compare_and_set(&self, key: RowKey, expected: Option<Bytes>, value: Bytes) -> Result<bool> {
        let (done, outcome) = oneshot::channel();
        self.ask(Request::CompareAndSet { key, expected, value, done }).await?;
        outcome.await.map_err(|_| closed())?
    }

    async fn get_many(&self, keys: Vec<RowKey>) -> Result<Vec<Option<Bytes>>> {
        if keys.len() > SCAN_ROWS_MAX {
            return Err(ErrorKind::InvalidArgument.with("too many keys in one get"));
        }
        let now_ms = self.now_ms();
        keys.iter().map(|key| read::get(&self.trees, key, now_ms)).collect()
    }

    async fn scan(&self, scan: Scan) -> Result<Vec<Row>> {
        read::scan(&self.trees, &scan, self.now_ms())
    }
}

/// What went wrong in the engine, without what it was doing it to.
pub(crate) fn engine_error(error: fjall::Error) -> Error {
    tracing::error!(%error, "the embedded engine failed");
    ErrorKind::Unavailable.with("the storage engine failed")
}

fn open_error(path: &Path, error: fjall::Error) -> OpenError {
    let path = path.display().to_string();
    match error {
        fjall::Error::Locked => OpenError::InUse { path },
        fjall::Error::Io(source) => OpenError::Io { path, source },
        other => OpenError::Damaged { path, detail: other.to_string() },
    }
}
