//! The keyspace's mark: which region it belongs to and which schema it has. And where its copies are kept.

use std::collections::HashMap;

use bulkhead_model::Region;
use scylla::client::session::Session;
use scylla::value::{CqlValue, Row};

use crate::schema::{MARK_TABLE, VERSION};
use crate::{CqlSettings, OpenError};

/// The only row of the mark's table.
const MARK: &str = "keyspace";

/// What the mark says.
pub(crate) struct Mark {
    pub(crate) region: String,
    /// 0 from the mark's creation until every table is there.
    pub(crate) schema_version: i32,
}

impl Mark {
    /// Refuses another region's keyspace and a later version's schema.
    pub(crate) fn check(&self, settings: &CqlSettings) -> Result<(), OpenError> {
        let keyspace = settings.keyspace.clone();
        if self.region != settings.region.name() {
            return Err(OpenError::WrongRegion {
                keyspace,
                found: self.region.clone(),
                wanted: settings.region,
            });
        }
        if self.schema_version > VERSION {
            return Err(OpenError::NewerSchema { keyspace, found: self.schema_version, newest: VERSION });
        }
        Ok(())
    }
}

/// What stands in a keyspace.
pub(crate) struct Found {
    /// As `system_schema.keyspaces` says it.
    replication: HashMap<String, String>,
    pub(crate) tables: Vec<String>,
}

impl Found {
    /// Whether a table is there.
    pub(crate) fn has(&self, table: &str) -> bool {
        self.tables.iter().any(|name| name == table)
    }

    /// Refuses a keyspace that is kept anywhere but in the region's data center.
    pub(crate) fn check(&self, settings: &CqlSettings) -> Result<(), OpenError> {
        let by_topology =
            self.replication.get("class").is_some_and(|class| class.ends_with("NetworkTopologyStrategy"));
        let mut places = self.replication.keys().filter(|key| *key != "class");
        if by_topology && places.next() == Some(&settings.data_center) && places.next().is_none() {
            return Ok(());
        }
        let mut found: Vec<_> =
            self.replication.iter().map(|(key, value)| format!("{key} {value}")).collect();
        found.sort_unstable();
        Err(OpenError::WrongReplication {
            keyspace: settings.keyspace.clone(),
            found: found.join(", "),
            wanted: settings.data_center.clone(),
        })
    }
}

/// Looks a keyspace up; `None` when there is none of that name.
pub(crate) async fn find(session: &Session, settings: &CqlSettings) -> Result<Option<Found>, OpenError> {
    let ask = "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = ?";
    let keyspaces: Vec<(HashMap<String, String>,)> = rows(session, settings, ask).await?;
    let Some((replication,)) = keyspaces.into_iter().next() else { return Ok(None) };
    let ask = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?";
    let tables: Vec<(String,)> = rows(session, settings, ask).await?;
    Ok(Some(Found { replication, tables: tables.into_iter().map(|(name,)| name).collect() }))
}

/// Reads the mark; the table must be there.
pub(crate) async fn read(session: &Session, settings: &CqlSettings) -> Result<Option<Mark>, OpenError> {
    let ask = format!("SELECT region, schema_version FROM {}.{MARK_TABLE} WHERE name = ?", settings.keyspace);
    let result = session.query_unpaged(ask, (MARK,)).await;
    let result = result.map_err(|error| OpenError::of(&settings.contact_points, &error))?;
    let result = result.into_rows_result().map_err(|error| refused(&error))?;
    let row = result.maybe_first_row::<(String, i32)>().map_err(|error| refused(&error))?;
    Ok(row.map(|(region, schema_version)| Mark { region, schema_version }))
}

/// Writes the mark unless there is one; answers the one that stands then.
pub(crate) async fn claim(session: &Session, settings: &CqlSettings, now_ms: u64) -> Result<Mark, OpenError> {
    let insert = format!(
        "INSERT INTO {}.{MARK_TABLE} (name, region, schema_version, created_ms) VALUES (?, ?, 0, ?) IF NOT EXISTS",
        settings.keyspace
    );
    let region: Region = settings.region;
    let values = (MARK, region.name(), i64::try_from(now_ms).unwrap_or(i64::MAX));
    let result = session.query_unpaged(insert, values).await;
    let result = result.map_err(|error| OpenError::of(&settings.contact_points, &error))?;
    let result = result.into_rows_result().map_err(|error| refused(&error))?;
    let row = result.first_row::<Row>().map_err(|error| refused(&error))?;
    if row.columns.first() == Some(&Some(CqlValue::Boolean(true))) {
        return Ok(Mark { region: region.name().to_owned(), schema_version: 0 });
    }
    let mark = read(session, settings).await?;
    mark.ok_or_else(|| OpenError::NoMark { keyspace: settings.keyspace.clone() })
}

/// Says that every table of this version is there.
pub(crate) async fn finish(session: &Session, settings: &CqlSettings) -> Result<(), OpenError> {
    let set =
        format!("UPDATE {}.{MARK_TABLE} SET schema_version = ? WHERE name = ? IF EXISTS", settings.keyspace);
    let result = session.query_unpaged(set, (VERSION, MARK)).await;
    result.map(drop).map_err(|error| OpenError::of(&settings.contact_points, &error))
}

async fn rows<R>(session: &Session, settings: &CqlSettings, ask: &str) -> Result<Vec<R>, OpenError>
where
    R: for<'row> scylla::deserialize::row::DeserializeRow<'row, 'row>,
{
    let result = session.query_unpaged(ask, (&settings.keyspace,)).await;
    let result = result.map_err(|error| OpenError::of(&settings.contact_points, &error))?;
    let result = result.into_rows_result().map_err(|error| refused(&error))?;
    let rows = result.rows::<R>().map_err(|error| refused(&error))?;
    rows.collect::<Result<_, _>>().map_err(|error| refused(&error))
}

fn refused(error: &dyn std::error::Error) -> OpenError {
    OpenError::Refused { detail: error.to_string() }
}
