//! The engine's database: one tree for each of its tables.

use std::path::Path;

use bulkhead_model::{Error, ErrorKind, Result};
use bulkhead_store::Table;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Snapshot};

use crate::OpenError;

/// Bytes of blocks kept in memory.
const CACHE_BYTES: u64 = 64 * 1024 * 1024;

/// The open database. The folder is free for others when the last of its holders is gone.
pub(crate) struct Trees {
    database: Database,
    /// In the order of the tables.
    trees: Vec<Keyspace>,
    pub(crate) tables: &'static [&'static Table],
}

/// Position of a table among those of the database.
pub(crate) type TableIndex = usize;

/// One change of a commit: a key in the tree of a table, and the stored form to be written or `None` to remove it.
pub(crate) type Change = ((TableIndex, Vec<u8>), Option<Vec<u8>>);

impl Trees {
    /// Opens the trees in `folder`, or makes them.
    pub(crate) fn open(folder: &Path, tables: &'static [&'static Table]) -> Result<Self, OpenError> {
        let failed = |error| open_error(folder, error);
        let database = Database::builder(folder).cache_size(CACHE_BYTES).open().map_err(failed)?;
        let trees = tables
            .iter()
            .map(|table| database.keyspace(table.name, KeyspaceCreateOptions::default))
            .collect::<fjall::Result<_>>()
            .map_err(failed)?;
        Ok(Self { database, trees, tables })
    }

    /// The tree of a table, and where it is.
    pub(crate) fn of(&self, table: &Table) -> Result<(TableIndex, &Keyspace)> {
        // A dozen tables: a walk beats a hash.
        let index = self.tables.iter().position(|declared| *declared == table);
        let found = index.and_then(|index| Some((index, self.trees.get(index)?)));
        found.ok_or_else(|| ErrorKind::InvalidArgument.with("no such table"))
    }

    /// What is committed now. A snapshot sees a commit whole or not at all.
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.database.snapshot()
    }

    /// Makes the changes durable and then visible, together.
    ///
    /// fjall writes the batch to its journal, calls `fdatasync` on it (that is what `SyncData` does; a batch without a
    /// mode only reaches a buffer) and then changes the trees. When the journal cannot be written or synced, for want of
    /// space or otherwise, nothing becomes visible and fjall refuses every later commit: what the journal holds is
    /// unknown until the folder is opened again.
    pub(crate) fn commit(&self, changes: impl IntoIterator<Item = Change>) -> Result<()> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for ((table, key), stored) in changes {
            match stored {
                Some(stored) => batch.insert(&self.trees[table], key, stored),
                None => batch.remove(&self.trees[table], key),
            }
        }
        batch.commit().map_err(engine_error)
    }
}

/// What went wrong in the engine, without what it was doing it to.
pub(crate) fn engine_error(error: fjall::Error) -> Error {
    tracing::error!(%error, "the embedded engine failed");
    ErrorKind::Unavailable.with("the storage engine failed")
}

fn open_error(folder: &Path, error: fjall::Error) -> OpenError {
    let path = folder.display().to_string();
    match error {
        fjall::Error::Locked => OpenError::InUse { path },
        fjall::Error::Io(source) => OpenError::Io { path, source },
        other => OpenError::Damaged { path, detail: other.to_string() },
    }
}
