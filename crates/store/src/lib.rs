//! The storage port.
//!
//! Tables are declared once, as data, in [`tables`]; an engine derives its schema from the declarations. A row is a
//! [`RowKey`] and an opaque value. [`Store`] is implemented by every engine, by the storage service (which seals values
//! on their way to an engine) and by the gRPC client of that service; all of them pass the same [`contract`].
//!
//! There is no query language, no secondary index and no transaction across partitions, because the cluster's engine
//! has none that is cheap: whoever needs an index declares a table.

#[cfg(feature = "contract")]
#[expect(clippy::unwrap_used, reason = "a check that fails has to panic")]
pub mod contract;
mod engine;
#[cfg(feature = "contract")]
#[expect(clippy::unwrap_used, reason = "a check that fails has to panic")]
pub mod engine_contract;
mod port;
mod table;
pub mod tables;

pub use engine::{Engine, RowRange};
pub use port::{
    Insert, Mutation, Put, Row, RowKey, SCAN_ROWS_MAX, Scan, Scope, Store, WRITE_MUTATIONS_MAX,
    check_deadline,
};
pub use table::{Compaction, Retention, Table};
