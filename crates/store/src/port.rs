use async_trait::async_trait;
use bulkhead_model::{AppUuid, ErrorKind, Result};
use bytes::Bytes;

use crate::Table;

/// Most rows of one scan.
pub const SCAN_ROWS_MAX: usize = 1000;

/// Most mutations of one write.
pub const WRITE_MUTATIONS_MAX: usize = 10_000;

/// Whose row it is; also decides the data key that seals it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// A row of the region itself.
    Region,
    App(AppUuid),
}

impl Scope {
    /// The 16 bytes of the app's identity, or none for the region.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Scope::Region => &[],
            Scope::App(app) => &app.0,
        }
    }
}

/// The full name of a row. Partition and clustering key are bytes; the order within a partition is that of the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowKey {
    pub table: &'static Table,
    pub scope: Scope,
    /// 1–1024 bytes.
    pub partition: Bytes,
    /// 0–1024 bytes.
    pub clustering: Bytes,
}

impl RowKey {
    /// [`Scope::as_bytes`] of the row's scope.
    pub fn scope_bytes(&self) -> &[u8] {
        self.scope.as_bytes()
    }
}

/// A row to be written.
#[derive(Clone, Debug)]
pub struct Put {
    pub key: RowKey,
    pub value: Bytes,
    /// Milliseconds from now until the row expires; `None` leaves it to the table's retention class.
    pub expires_in_ms: Option<u64>,
}

/// An insert under the condition that the row is not there.
pub type Insert = Put;

/// One change of a write.
#[derive(Clone, Debug)]
pub enum Mutation {
    Put(Put),
    Delete(RowKey),
    /// Deletes the rows of a partition with `from <= clustering < to`; an empty `to` is no bound.
    DeleteRange {
        table: &'static Table,
        scope: Scope,
        partition: Bytes,
        from: Bytes,
        to: Bytes,
    },
}

/// An ordered read of one partition.
#[derive(Clone, Debug)]
pub struct Scan {
    pub table: &'static Table,
    pub scope: Scope,
    pub partition: Bytes,
    /// Inclusive lower bound; empty is open.
    pub from: Bytes,
    /// Exclusive upper bound; empty is open.
    pub to: Bytes,
    /// Highest clustering key first.
    pub descending: bool,
    /// 1..=[`SCAN_ROWS_MAX`].
    pub limit: usize,
}

/// A row that a scan found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub clustering: Bytes,
    pub value: Bytes,
}

/// Rows by key, ordered within a partition.
///
/// Errors: `InvalidArgument` for a key or limit outside its bounds, `Unavailable` when the engine does not answer or has
/// no space, `Internal` for a value that does not open.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Applies the mutations in order. When it answers `Ok` all of them are durable; those of one partition take effect
    /// together: a read sees all of them or none. On `Unavailable` they may or may not have been applied.
    async fn write(&self, mutations: Vec<Mutation>) -> Result<()>;

    /// Like [`Store::write`] until `deadline_ms` (Unix milliseconds, by the clock of the process that has the engine); from
    /// then on it answers `Timeout` and nothing of it is written. Looked at right before the engine gets the mutations, so
    /// that a write whose caller has lost the right to it does not land late because it was held up on its way.
    async fn write_before(&self, mutations: Vec<Mutation>, deadline_ms: u64) -> Result<()>;

    /// Writes the row unless there is one; answers the value that was there. Linearizable per row.
    async fn insert_if_absent(&self, row: Insert) -> Result<Option<Bytes>>;

    /// Replaces the value when it is `expected` (`None`: when there is no row) and answers whether it did. Linearizable
    /// per row. The row's life starts anew, as the table's retention class says; the storage service refuses tables that
    /// keep rows as long as a plan says (`InvalidArgument`).
    async fn compare_and_set(&self, key: RowKey, expected: Option<Bytes>, value: Bytes) -> Result<bool>;

    /// The values of the rows, in the order of the keys. At most [`SCAN_ROWS_MAX`] keys. Rows of one partition are read
    /// together.
    async fn get_many(&self, keys: Vec<RowKey>) -> Result<Vec<Option<Bytes>>>;

    /// The value of one row.
    async fn get(&self, key: RowKey) -> Result<Option<Bytes>> {
        Ok(self.get_many(vec![key]).await?.pop().flatten())
    }

    /// The rows of a partition within bounds.
    async fn scan(&self, scan: Scan) -> Result<Vec<Row>>;
}

/// `Timeout` when a write comes at its deadline or later; for implementations of [`Store::write_before`].
pub fn check_deadline(deadline_ms: u64, now_ms: u64) -> Result<()> {
    if now_ms >= deadline_ms {
        return Err(ErrorKind::Timeout.with("a write came after its deadline; is a clock wrong?"));
    }
    Ok(())
}
