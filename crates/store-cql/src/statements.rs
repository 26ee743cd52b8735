//! The prepared statements of every table.

use std::collections::HashMap;

use bulkhead_model::{ErrorKind, Result};
use bulkhead_store::{Table, tables};
use futures_util::{StreamExt, TryStreamExt, stream};
use scylla::client::session::Session;
use scylla::errors::PrepareError;
use scylla::statement::Consistency;
use scylla::statement::prepared::PreparedStatement;

use crate::bucket::is_bucketed;
use crate::schema::index_name;

/// Tables whose statements are prepared at the same time.
const PREPARED_AT_ONCE: usize = 4;

/// The statements of one table. The values of each begin or end with the partition's key, as [`crate::bind`] says.
pub(crate) struct TableStatements {
    /// timestamp, ttl, value, key, clustering.
    pub(crate) put: PreparedStatement,
    /// timestamp, key, clustering.
    pub(crate) delete: PreparedStatement,
    /// timestamp, key, from, to.
    pub(crate) delete_between: PreparedStatement,
    /// timestamp, key, from.
    pub(crate) delete_from: PreparedStatement,
    /// key, clusterings.
    pub(crate) get: PreparedStatement,
    /// key, from, to, limit.
    pub(crate) scan_between: Directions,
    /// key, from, limit.
    pub(crate) scan_from: Directions,
    /// ttl, value, key, clustering, expected value or null.
    pub(crate) compare_and_set: PreparedStatement,
    /// key, clustering; answers the value and its timestamp.
    pub(crate) stamped: PreparedStatement,
    /// key, clustering; the value, with conditional writes that are still under way completed first.
    pub(crate) latest: PreparedStatement,
    /// Of a divided table.
    pub(crate) index: Option<IndexStatements>,
}

/// A scan in both directions.
pub(crate) struct Directions {
    pub(crate) ascending: PreparedStatement,
    pub(crate) descending: PreparedStatement,
}

/// The statements of a divided table's index.
pub(crate) struct IndexStatements {
    /// scope, partition, bucket, ends, timestamp, ttl.
    pub(crate) put: PreparedStatement,
    /// scope, partition, lowest bucket, highest bucket.
    pub(crate) entries: PreparedStatement,
    /// timestamp, key: deletes the rows of a day, which are a partition.
    pub(crate) forget_rows: PreparedStatement,
    /// timestamp, key: deletes the entries of a day.
    pub(crate) forget_entries: PreparedStatement,
}

/// The statements of all tables.
pub(crate) struct Statements(HashMap<&'static str, TableStatements>);

impl Statements {
    /// Prepares everything; the tables must be there.
    pub(crate) async fn prepare(session: &Session, keyspace: &str) -> Result<Self, PrepareError> {
        let prepared = stream::iter(tables::ALL).map(|table| async move {
            Ok::<_, PrepareError>((table.name, TableStatements::prepare(session, keyspace, table).await?))
        });
        Ok(Self(prepared.buffer_unordered(PREPARED_AT_ONCE).try_collect().await?))
    }

    /// [`Statements::of`] by the name of a table.
    pub(crate) fn of_name(&self, table: &str) -> Result<&TableStatements> {
        self.0.get(table).ok_or_else(|| ErrorKind::InvalidArgument.with("no such table"))
    }

    /// `InvalidArgument` for a table that is not declared.
    pub(crate) fn of(&self, table: &Table) -> Result<&TableStatements> {
        self.of_name(table.name)
    }
}

impl TableStatements {
    async fn prepare(session: &Session, keyspace: &str, table: &Table) -> Result<Self, PrepareError> {
        let name = format!("{keyspace}.{}", table.name);
        let bucketed = is_bucketed(table);
        let key = if bucketed {
            "scope = ? AND partition = ? AND bucket = ?"
        } else {
            "scope = ? AND partition = ?"
        };
        let row = format!("{key} AND clustering = ?");
        let between = format!("{key} AND clustering >= ? AND clustering < ?");
        let from = format!("{key} AND clustering >= ?");
        let select = |place: &str, order: &str| {
            format!("SELECT clustering, value FROM {name} WHERE {place} ORDER BY clustering {order} LIMIT ?")
        };
        let repeatable = async |text: String| {
            let mut prepared = session.prepare(text).await?;
            prepared.set_is_idempotent(true);
            Ok::<_, PrepareError>(prepared)
        };
        let mut latest = repeatable(format!("SELECT value FROM {name} WHERE {row}")).await?;
        latest.set_consistency(Consistency::LocalSerial);
        Ok(Self {
            // An update leaves no row marker, so that a row is there exactly as long as its value.
            put: repeatable(format!("UPDATE {name} USING TIMESTAMP ? AND TTL ? SET value = ? WHERE {row}"))
                .await?,
            delete: repeatable(format!("DELETE FROM {name} USING TIMESTAMP ? WHERE {row}")).await?,
            delete_between: repeatable(format!("DELETE FROM {name} USING TIMESTAMP ? WHERE {between}"))
                .await?,
            delete_from: repeatable(format!("DELETE FROM {name} USING TIMESTAMP ? WHERE {from}")).await?,
            get: repeatable(format!("SELECT clustering, value FROM {name} WHERE {key} AND clustering IN ?"))
                .await?,
            scan_between: Directions {
                ascending: repeatable(select(&between, "ASC")).await?,
                descending: repeatable(select(&between, "DESC")).await?,
            },
            scan_from: Directions {
                ascending: repeatable(select(&from, "ASC")).await?,
                descending: repeatable(select(&from, "DESC")).await?,
            },
            // Not repeatable: a second attempt would find what the first one wrote.
            compare_and_set: session
                .prepare(format!("UPDATE {name} USING TTL ? SET value = ? WHERE {row} IF value = ?"))
                .await?,
            stamped: repeatable(format!("SELECT value, WRITETIME(value) FROM {name} WHERE {row}")).await?,
            latest,
            index: match bucketed {
                true => Some(IndexStatements::prepare(session, keyspace, table).await?),
                false => None,
            },
        })
    }
}

impl IndexStatements {
    async fn prepare(session: &Session, keyspace: &str, table: &Table) -> Result<Self, PrepareError> {
        let name = format!("{keyspace}.{}", index_name(table));
        let repeatable = async |text: String| {
            let mut prepared = session.prepare(text).await?;
            prepared.set_is_idempotent(true);
            Ok::<_, PrepareError>(prepared)
        };
        let delete = |name: &str| {
            format!("DELETE FROM {name} USING TIMESTAMP ? WHERE scope = ? AND partition = ? AND bucket = ?")
        };
        Ok(Self {
            put: repeatable(format!(
                "INSERT INTO {name} (scope, partition, bucket, ends) VALUES (?, ?, ?, ?) USING TIMESTAMP ? AND TTL ?"
            ))
            .await?,
            entries: repeatable(format!(
                "SELECT bucket, ends FROM {name} WHERE scope = ? AND partition = ? AND bucket >= ? AND bucket <= ?"
            ))
            .await?,
            forget_rows: repeatable(delete(&format!("{keyspace}.{}", table.name))).await?,
            forget_entries: repeatable(delete(&name)).await?,
        })
    }
}
