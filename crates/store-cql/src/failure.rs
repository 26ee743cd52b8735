//! What the database says when it does not do what it was asked.

use bulkhead_model::{Error, ErrorKind, Region};
use scylla::errors::{DbError, ExecutionError, RequestAttemptError};

/// Why a keyspace could not be opened or prepared; each text is one line for an operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The settings cannot be right.
    #[error("{detail}")]
    Settings { detail: String },
    /// No node answers, or not in time.
    #[error("the database at {contact_points} does not answer: {detail}")]
    Unreachable { contact_points: String, detail: String },
    /// The database answers and refuses.
    #[error("the database refuses: {detail}")]
    Refused { detail: String },
    /// None of its nodes is where they are expected.
    #[error("the database has no node in data center {wanted}, only in {found}")]
    WrongDataCenter { found: String, wanted: String },
    /// The keyspace is kept in other data centers too, or in a way that does not say where.
    #[error("keyspace {keyspace} is not replicated in data center {wanted} alone: {found}")]
    WrongReplication { keyspace: String, found: String, wanted: String },
    /// The keyspace is another region's.
    #[error("keyspace {keyspace} belongs to region {found}, not to {wanted}")]
    WrongRegion { keyspace: String, found: String, wanted: Region },
    /// The keyspace is missing or has no, or an older, schema.
    #[error("keyspace {keyspace} is not ready for this version: run `bulkhead admin migrate`")]
    NotMigrated { keyspace: String },
    /// A later version made the schema.
    #[error("keyspace {keyspace} has schema {found}; this version reads up to {newest}")]
    NewerSchema { keyspace: String, found: i32, newest: i32 },
    /// The keyspace has tables and no mark that says whose they are.
    #[error("keyspace {keyspace} has tables and no region mark: whose rows they are is not known")]
    NoMark { keyspace: String },
}

impl OpenError {
    /// Whether waiting can help.
    pub fn is_outage(&self) -> bool {
        matches!(self, OpenError::Unreachable { .. })
    }

    pub(crate) fn of(contact_points: &[String], error: &ExecutionError) -> Self {
        if is_refusal(error) {
            OpenError::Refused { detail: error.to_string() }
        } else {
            OpenError::unreachable(contact_points, error)
        }
    }

    pub(crate) fn unreachable(contact_points: &[String], error: &dyn std::error::Error) -> Self {
        OpenError::Unreachable { contact_points: contact_points.join(", "), detail: error.to_string() }
    }
}

/// The error for a caller of the port. The database's own words go to the log: they are about its nodes.
pub(crate) fn failed(error: &ExecutionError) -> Error {
    if is_refusal(error) {
        tracing::error!(%error, "the database refuses a statement");
        ErrorKind::Internal.with("the database refuses a statement")
    } else {
        tracing::debug!(%error, "the database did not do it");
        unavailable()
    }
}

/// The database did not answer, or could not do it now.
pub(crate) fn unavailable() -> Error {
    ErrorKind::Unavailable.with("the database does not answer")
}

/// A row of the database is not of the kind that was asked for.
pub(crate) fn unreadable(error: impl std::error::Error) -> Error {
    tracing::error!(%error, "the database answers something else than was asked for");
    ErrorKind::Internal.with("the database's answer cannot be read")
}

/// Whether repeating the statement would not help.
fn is_refusal(error: &ExecutionError) -> bool {
    match error {
        ExecutionError::BadQuery(_) => true,
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(error, _)) => matches!(
            error,
            DbError::SyntaxError
                | DbError::Invalid
                | DbError::AlreadyExists { .. }
                | DbError::AuthenticationError
                | DbError::Unauthorized
                | DbError::ConfigError
                | DbError::ProtocolError
        ),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(error: DbError) -> ErrorKind {
        failed(&ExecutionError::LastAttemptError(RequestAttemptError::DbError(error, String::new()))).kind()
    }

    #[test]
    fn an_outage_is_told_from_a_refusal() {
        assert_eq!(kind(DbError::Overloaded), ErrorKind::Unavailable);
        assert_eq!(kind(DbError::ServerError), ErrorKind::Unavailable);
        assert_eq!(kind(DbError::Invalid), ErrorKind::Internal);
        assert_eq!(kind(DbError::Unauthorized), ErrorKind::Internal);
        assert_eq!(
            failed(&ExecutionError::RequestTimeout(std::time::Duration::from_secs(1))).kind(),
            ErrorKind::Unavailable
        );
    }
}
