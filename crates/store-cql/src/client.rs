//! One statement at a time: the limit on how many are under way, and errors as the port knows them.

use std::time::Instant;

use bulkhead_model::Result;
use scylla::client::session::Session;
use scylla::deserialize::row::DeserializeRow;
use scylla::errors::{ExecutionError, PrepareError};
use scylla::response::query_result::QueryResult;
use scylla::statement::batch::{Batch, BatchStatement, BatchType};
use scylla::statement::prepared::PreparedStatement;
use scylla::value::{CqlTimeuuid, CqlValue, Row};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::bind::Bind;
use crate::failure::{failed, unavailable, unreadable};

/// Statements that are under way at the same time; further ones wait for a place, as long as their call may take.
const STATEMENTS_MAX: usize = 1024;

/// Hundreds of nanoseconds between the start of the Gregorian calendar, where a version 1 UUID counts from, and 1970.
const GREGORIAN_TO_UNIX_100NS: u64 = 0x01B2_1DD2_1381_4000;

/// A statement and its values.
pub(crate) type Bound<'a> = (&'a PreparedStatement, Vec<Bind>);

/// The session, and what is bounded around it.
pub(crate) struct Client {
    session: Session,
    places: Semaphore,
    now: PreparedStatement,
}

impl Client {
    pub(crate) async fn new(session: Session) -> Result<Self, PrepareError> {
        let mut now = session.prepare("SELECT now() FROM system.local").await?;
        now.set_is_idempotent(true);
        now.set_consistency(scylla::statement::Consistency::LocalOne);
        Ok(Self { session, places: Semaphore::new(STATEMENTS_MAX), now })
    }

    /// The session, for preparing.
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Runs the statements of one partition as one: together and at once. They have timestamps of their own.
    pub(crate) async fn apply(&self, mut statements: Vec<Bound<'_>>) -> Result<()> {
        let _place = self.place().await?;
        let done = if statements.len() == 1 {
            let (statement, values) = statements.swap_remove(0);
            self.session.execute_unpaged(statement, values).await
        } else {
            let (texts, values): (Vec<BatchStatement>, Vec<Vec<Bind>>) =
                statements.into_iter().map(|(statement, values)| (statement.clone().into(), values)).unzip();
            let mut batch = Batch::new_with_statements(BatchType::Unlogged, texts);
            batch.set_is_idempotent(true);
            self.session.batch(&batch, values).await
        };
        done.map(drop).map_err(|error| failed(&error))
    }

    /// The rows that a statement answers.
    pub(crate) async fn rows<R>(&self, statement: &PreparedStatement, values: Vec<Bind>) -> Result<Vec<R>>
    where
        R: for<'row> DeserializeRow<'row, 'row>,
    {
        let result = self.execute(statement, values).await?.into_rows_result().map_err(unreadable)?;
        let rows = result.rows::<R>().map_err(unreadable)?;
        rows.collect::<Result<_, _>>().map_err(unreadable)
    }

    /// Runs a conditional statement: `Ok(())` when it applied, else the value that stood against it.
    pub(crate) async fn conditional(
        &self,
        statement: &PreparedStatement,
        values: Vec<Bind>,
    ) -> Result<Result<(), Option<bytes::Bytes>>> {
        let result = self.execute(statement, values).await?.into_rows_result().map_err(unreadable)?;
        // Which columns there are depends on the outcome, and on the database.
        let value_at = result.column_specs().get_by_name("value").map(|(index, _)| index);
        let mut row = result.first_row::<Row>().map_err(unreadable)?;
        if row.columns.first() == Some(&Some(CqlValue::Boolean(true))) {
            return Ok(Ok(()));
        }
        let value = value_at.and_then(|index| row.columns.get_mut(index)).and_then(Option::take);
        Ok(Err(match value {
            Some(CqlValue::Blob(bytes)) => Some(bytes.into()),
            _ => None,
        }))
    }

    /// What a node's clock says, in Unix microseconds, and the instant after which it said so.
    pub(crate) async fn node_time(&self) -> Result<(i64, Instant), ExecutionError> {
        let result = self.session.execute_unpaged(&self.now, &[]).await?;
        let at = Instant::now();
        let said = result.into_rows_result().ok().and_then(|rows| rows.first_row::<(CqlTimeuuid,)>().ok());
        // The driver checks the type of the only column; a node that answers no row has said nothing.
        let Some((uuid,)) = said else { return Err(ExecutionError::EmptyPlan) };
        Ok((unix_us(uuid.as_bytes()), at))
    }

    async fn execute(&self, statement: &PreparedStatement, values: Vec<Bind>) -> Result<QueryResult> {
        let _place = self.place().await?;
        self.session.execute_unpaged(statement, values).await.map_err(|error| failed(&error))
    }

    async fn place(&self) -> Result<SemaphorePermit<'_>> {
        self.places.acquire().await.map_err(|_| unavailable())
    }
}

/// The time in a version 1 UUID (RFC 9562 §5.1).
fn unix_us(uuid: &[u8; 16]) -> i64 {
    let low = u64::from(u32::from_be_bytes([uuid[0], uuid[1], uuid[2], uuid[3]]));
    let middle = u64::from(u16::from_be_bytes([uuid[4], uuid[5]]));
    let high = u64::from(u16::from_be_bytes([uuid[6], uuid[7]]) & 0x0FFF);
    let ticks = high << 48 | middle << 32 | low;
    (ticks.saturating_sub(GREGORIAN_TO_UNIX_100NS) / 10) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_in_a_uuid_is_read() {
        // RFC 9562, appendix A.1: C232AB00-9414-11EC-B3C8-9F6BDECED846 is Tuesday, February 22, 2022 2:22:22.00 PM GMT-05:00.
        let uuid = 0xC232_AB00_9414_11EC_B3C8_9F6B_DECE_D846_u128.to_be_bytes();
        assert_eq!(unix_us(&uuid), 1_645_557_742_000_000);
    }
}
