//! Values of a statement.

use bulkhead_store::{Scope, Table};
use bytes::Bytes;
use scylla::cluster::metadata::ColumnType;
use scylla::errors::SerializationError;
use scylla::serialize::value::SerializeValue;
use scylla::serialize::writers::{CellWriter, WrittenCellProof};

use crate::bucket::{bucket_of, is_bucketed};
use crate::row::scope_column;

/// One value.
#[derive(Clone)]
pub(crate) enum Bind {
    Blob(Bytes),
    Blobs(Vec<Bytes>),
    Int(i32),
    Long(i64),
    Null,
}

impl SerializeValue for Bind {
    fn serialize<'b>(
        &self,
        typ: &ColumnType<'_>,
        writer: CellWriter<'b>,
    ) -> Result<WrittenCellProof<'b>, SerializationError> {
        match self {
            Bind::Blob(bytes) => bytes.serialize(typ, writer),
            Bind::Blobs(list) => list.serialize(typ, writer),
            Bind::Int(number) => number.serialize(typ, writer),
            Bind::Long(number) => number.serialize(typ, writer),
            Bind::Null => Ok(writer.set_null()),
        }
    }
}

/// A partition of the database.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) table: &'static str,
    pub(crate) scope: Bytes,
    pub(crate) partition: Bytes,
    /// The day, of a divided table.
    pub(crate) bucket: Option<i32>,
}

impl Place {
    /// Where the row with this clustering key is.
    pub(crate) fn of(table: &'static Table, scope: Scope, partition: &Bytes, clustering: &[u8]) -> Self {
        let place = Self::undivided(table, scope, partition);
        Self { bucket: is_bucketed(table).then(|| bucket_of(clustering)), ..place }
    }

    /// The partition of the port, which may be several of the database.
    pub(crate) fn undivided(table: &'static Table, scope: Scope, partition: &Bytes) -> Self {
        Self { table: table.name, scope: scope_column(scope), partition: partition.clone(), bucket: None }
    }

    /// `before`, the values of the key, `after`.
    pub(crate) fn between<const N: usize, const M: usize>(
        &self,
        before: [Bind; N],
        after: [Bind; M],
    ) -> Vec<Bind> {
        let mut values = Vec::with_capacity(N + M + 3);
        values.extend(before);
        values.push(Bind::Blob(self.scope.clone()));
        values.push(Bind::Blob(self.partition.clone()));
        values.extend(self.bucket.map(Bind::Int));
        values.extend(after);
        values
    }
}
