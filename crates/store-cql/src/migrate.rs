//! Making a keyspace ready for this version. The one place that changes a schema.

use scylla::client::session::Session;

use crate::connect::{Purpose, connect, is_scylla};
use crate::schema::{MARK_TABLE, VERSION};
use crate::{CqlSettings, OpenError, mark, schema};

/// What [`migrate`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migration {
    /// The schema before; 0 for a keyspace that had none.
    pub from: i32,
    /// The schema now.
    pub to: i32,
}

/// Makes the keyspace with `copies` copies in the region's data center, its mark and its tables. Does what is missing and
/// can be repeated, also after it was interrupted. An existing keyspace keeps the number of copies that it has.
///
/// Refuses a keyspace of another region, of a later version, or that is kept in another data center, before it changes
/// anything in it.
pub async fn migrate(settings: &CqlSettings, copies: u16, now_ms: u64) -> Result<Migration, OpenError> {
    let session = connect(settings, Purpose::Schema).await?;
    let found = match mark::find(&session, settings).await? {
        Some(found) => found,
        None => {
            make_keyspace(&session, settings, copies).await?;
            let missing = || OpenError::NotMigrated { keyspace: settings.keyspace.clone() };
            mark::find(&session, settings).await?.ok_or_else(missing)?
        }
    };
    found.check(settings)?;
    let marked = found.has(MARK_TABLE) && mark::read(&session, settings).await?.is_some();
    if !marked && found.tables.iter().any(|table| table != MARK_TABLE) {
        return Err(OpenError::NoMark { keyspace: settings.keyspace.clone() });
    }
    change(&session, settings, schema::mark(&settings.keyspace)).await?;
    let mark = mark::claim(&session, settings, now_ms).await?;
    mark.check(settings)?;
    for statement in schema::all(&settings.keyspace) {
        change(&session, settings, statement).await?;
    }
    if marked {
        for statement in schema::changes(&settings.keyspace) {
            change(&session, settings, statement).await?;
        }
    }
    if mark.schema_version != VERSION {
        mark::finish(&session, settings).await?;
    }
    Ok(Migration { from: mark.schema_version, to: VERSION })
}

async fn make_keyspace(session: &Session, settings: &CqlSettings, copies: u16) -> Result<(), OpenError> {
    let (keyspace, data_center) = (&settings.keyspace, &settings.data_center);
    if is_scylla(session) {
        let make = schema::keyspace_without_tablets(keyspace, data_center, copies);
        match change(session, settings, make).await {
            // A version that has no tablets to switch off.
            Err(OpenError::Refused { .. }) => {}
            decided => return decided,
        }
    }
    change(session, settings, schema::keyspace(keyspace, data_center, copies)).await
}

async fn change(session: &Session, settings: &CqlSettings, statement: String) -> Result<(), OpenError> {
    let result = session.query_unpaged(statement, &[]).await;
    result.map(drop).map_err(|error| OpenError::of(&settings.contact_points, &error))
}
