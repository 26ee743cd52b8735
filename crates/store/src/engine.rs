use async_trait::async_trait;
use bulkhead_model::Result;
use bytes::Bytes;

use crate::{RowKey, Scope, Store, Table};

/// Rows of one partition: those with `from <= clustering < to`; an empty `to` is no bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowRange {
    pub table: &'static Table,
    pub scope: Scope,
    pub partition: Bytes,
    pub from: Bytes,
    pub to: Bytes,
}

/// What an engine does for the storage service beyond the port, so that what is over leaves it. Nobody reaches it through
/// a connection.
///
/// Errors are those of [`Store`].
#[async_trait]
pub trait Engine: Store {
    /// Removes rows that nobody is served any more, and to which nothing is written. Other than with a deletion in a write,
    /// readers may see some of them gone and others not, and work that waits comes in between. When it answers `Ok` all of
    /// them are gone, durably. The cost follows what is removed, not what stays.
    async fn forget_range(&self, range: RowRange) -> Result<()>;

    /// Removes a row if its value is still this one. A row that is written at the same time or later stays as it is
    /// written.
    async fn delete_unchanged(&self, key: RowKey, value: Bytes) -> Result<()>;
}
