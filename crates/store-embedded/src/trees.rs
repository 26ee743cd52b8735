//! The engine's database: one tree for each of its tables.

use std::path::Path;

use bulkhead_model::{Error, ErrorKind, Result};
use bulkhead_store::Table;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Snapshot};

use crate::{OpenError, due};

/// Bytes of blocks kept in memory.
const CACHE_BYTES: u64 = 64 * 1024 * 1024;

/// The open database. The folder is free for others when the last of its holders is gone.
pub(crate) struct Trees {
    database: Database,
    /// In the order of the tables.
    trees: Vec<Keyspace>,
    pub(crate) tables: &'static [&'static Table],
    /// When their rows expire; see [`crate::due`].
    due: Keyspace,
}

/// The tree of [`crate::due`]; no table has a name with a hyphen.
const DUE: &str = "rows-due";

/// The entry that says that every row which expires has one.
const DUE_IS_WHOLE: &[u8] = &[0xFF; 9];

/// Position of a table among those of the database.
pub(crate) type TableIndex = usize;

/// One change of a commit: a key in the tree of a table, and the stored form to be written or `None` to remove it.
pub(crate) type Change = ((TableIndex, Vec<u8>), Option<Vec<u8>>);

impl Trees {
    /// Opens the trees in `folder`, or makes them.
    pub(crate) fn open(
        folder: &Path,
        tables: &'static [&'static Table],
        now_ms: u64,
    ) -> Result<Self, OpenError> {
        let failed = |error| open_error(folder, error);
        let database = Database::builder(folder).cache_size(CACHE_BYTES).open().map_err(failed)?;
        let trees = tables
            .iter()
            .map(|table| database.keyspace(table.name, KeyspaceCreateOptions::default))
            .collect::<fjall::Result<_>>()
            .map_err(failed)?;
        let due = database.keyspace(DUE, KeyspaceCreateOptions::default).map_err(failed)?;
        let trees = Self { database, trees, tables, due };
        if !trees.due.contains_key(DUE_IS_WHOLE).map_err(failed)? {
            let completed = due::missing(&trees, now_ms, |entries| trees.commit(entries)).and_then(|()| {
                trees.commit([((trees.due_index(), DUE_IS_WHOLE.to_vec()), Some(Vec::new()))])
            });
            let path = folder.display().to_string();
            completed.map_err(|error| OpenError::Damaged { path, detail: error.to_string() })?;
        }
        Ok(trees)
    }

    /// Every table's tree.
    pub(crate) fn tables(&self) -> impl Iterator<Item = (TableIndex, &Keyspace)> {
        self.trees.iter().enumerate()
    }

    /// The tree of [`crate::due`].
    pub(crate) fn due(&self) -> &Keyspace {
        &self.due
    }

    /// What stands for that tree in a [`Change`].
    pub(crate) fn due_index(&self) -> TableIndex {
        self.trees.len()
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

    /// Writes every tree anew, without what was removed from it.
    pub(crate) fn compact(&self) -> Result<()> {
        // All of them first: a journal can go when every tree that it is about has written what it had of it.
        for tree in self.trees.iter().chain([&self.due]) {
            tree.rotate_memtable_and_wait().map_err(engine_error)?;
        }
        for tree in self.trees.iter().chain([&self.due]) {
            tree.major_compact().map_err(engine_error)?;
        }
        Ok(())
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
            let tree = self.trees.get(table).unwrap_or(&self.due);
            match stored {
                Some(stored) => batch.insert(tree, key, stored),
                None => batch.remove(tree, key),
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
