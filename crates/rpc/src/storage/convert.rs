//! The port's words and their messages. Rows of tables that are not declared are refused here.

use bulkhead_model::{AppUuid, Error, ErrorKind, Result};
use bulkhead_proto::storage as wire;
use bulkhead_proto::storage::mutation::Change;
use bulkhead_store::{Mutation, Put, Row, RowKey, Scan, Scope, Table, tables};
use bytes::Bytes;

pub(super) fn scope_to_wire(scope: Scope) -> Bytes {
    match scope {
        Scope::Region => Bytes::new(),
        Scope::App(app) => Bytes::copy_from_slice(&app.0),
    }
}

fn scope_from_wire(scope: &[u8]) -> Result<Scope> {
    if scope.is_empty() { Ok(Scope::Region) } else { Ok(Scope::App(AppUuid::from_slice(scope)?)) }
}

fn table_from_wire(name: &str) -> Result<&'static Table> {
    tables::by_name(name).ok_or_else(|| ErrorKind::InvalidArgument.with("no such table"))
}

fn missing() -> Error {
    ErrorKind::InvalidArgument.with("a storage request lacks a field")
}

pub(super) fn key_to_wire(key: RowKey) -> wire::RowKey {
    wire::RowKey {
        table: key.table.name.to_owned(),
        scope: scope_to_wire(key.scope),
        partition: key.partition,
        clustering: key.clustering,
    }
}

pub(super) fn key_from_wire(key: Option<wire::RowKey>) -> Result<RowKey> {
    let key = key.ok_or_else(missing)?;
    Ok(RowKey {
        table: table_from_wire(&key.table)?,
        scope: scope_from_wire(&key.scope)?,
        partition: key.partition,
        clustering: key.clustering,
    })
}

pub(super) fn put_to_wire(put: Put) -> wire::Put {
    wire::Put { key: Some(key_to_wire(put.key)), value: put.value, expires_in_ms: put.expires_in_ms }
}

pub(super) fn put_from_wire(put: Option<wire::Put>) -> Result<Put> {
    let put = put.ok_or_else(missing)?;
    Ok(Put { key: key_from_wire(put.key)?, value: put.value, expires_in_ms: put.expires_in_ms })
}

pub(super) fn mutation_to_wire(mutation: Mutation) -> wire::Mutation {
    let change = match mutation {
        Mutation::Put(put) => Change::Put(put_to_wire(put)),
        Mutation::Delete(key) => Change::Delete(key_to_wire(key)),
        Mutation::DeleteRange { table, scope, partition, from, to } => {
            let table = table.name.to_owned();
            Change::DeleteRange(wire::DeleteRange { table, scope: scope_to_wire(scope), partition, from, to })
        }
    };
    wire::Mutation { change: Some(change) }
}

pub(super) fn mutation_from_wire(mutation: wire::Mutation) -> Result<Mutation> {
    Ok(match mutation.change.ok_or_else(missing)? {
        Change::Put(put) => Mutation::Put(put_from_wire(Some(put))?),
        Change::Delete(key) => Mutation::Delete(key_from_wire(Some(key))?),
        Change::DeleteRange(range) => Mutation::DeleteRange {
            table: table_from_wire(&range.table)?,
            scope: scope_from_wire(&range.scope)?,
            partition: range.partition,
            from: range.from,
            to: range.to,
        },
    })
}

pub(super) fn scan_to_wire(scan: Scan) -> wire::ScanRequest {
    wire::ScanRequest {
        table: scan.table.name.to_owned(),
        scope: scope_to_wire(scan.scope),
        partition: scan.partition,
        from: scan.from,
        to: scan.to,
        descending: scan.descending,
        // A limit beyond 32 bits is beyond the port's limit too, and is refused by it.
        limit: u32::try_from(scan.limit).unwrap_or(u32::MAX),
    }
}

pub(super) fn scan_from_wire(scan: wire::ScanRequest) -> Result<Scan> {
    Ok(Scan {
        table: table_from_wire(&scan.table)?,
        scope: scope_from_wire(&scan.scope)?,
        partition: scan.partition,
        from: scan.from,
        to: scan.to,
        descending: scan.descending,
        limit: scan.limit as usize,
    })
}

pub(super) fn row_to_wire(row: Row) -> wire::Row {
    wire::Row { clustering: row.clustering, value: row.value }
}

pub(super) fn row_from_wire(row: wire::Row) -> Row {
    Row { clustering: row.clustering, value: row.value }
}
