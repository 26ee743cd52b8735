use std::sync::Arc;
use std::time::Duration;

use bulkhead_model::Region;

use crate::OpenError;

/// Longest keyspace name (Apache Cassandra).
const KEYSPACE_CHARS_MAX: usize = 48;

/// Where the database is and what is expected there. Holds a password, so it does not print itself.
#[derive(Clone)]
pub struct CqlSettings {
    /// The region that the keyspace belongs to.
    pub region: Region,
    /// `host:port` of some nodes; the others are found through them.
    pub contact_points: Vec<String>,
    /// Name of the keyspace: a lower-case letter, then letters, digits and underscores.
    pub keyspace: String,
    /// The region's data center as the database calls it. No node of another one is ever spoken to.
    pub data_center: String,
    /// User and password; `None` when the database asks for none.
    pub credentials: Option<Credentials>,
    /// TLS to the database; `None` for none.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// How long one call of the port may take, everything included.
    pub call_timeout: Duration,
}

/// A user of the database.
#[derive(Clone)]
pub struct Credentials {
    pub user: String,
    pub password: String,
}

impl CqlSettings {
    /// Refuses what would not be a name in CQL: these two become part of statements' texts.
    pub(crate) fn check(&self) -> Result<(), OpenError> {
        let wrong = |what: &str| Err(OpenError::Settings { detail: what.to_owned() });
        if self.contact_points.is_empty() {
            return wrong("no contact point of the database is given");
        }
        let mut keyspace = self.keyspace.chars();
        let starts_well = keyspace.next().is_some_and(|first| first.is_ascii_lowercase());
        let goes_on_well =
            keyspace.all(|next| next.is_ascii_lowercase() || next.is_ascii_digit() || next == '_');
        if !starts_well || !goes_on_well || self.keyspace.len() > KEYSPACE_CHARS_MAX {
            return wrong(
                "a keyspace is a lower-case letter and then letters, digits and underscores, 48 at most",
            );
        }
        let fits = |next: char| next.is_ascii_alphanumeric() || next == '_' || next == '-';
        if self.data_center.is_empty() || !self.data_center.chars().all(fits) {
            return wrong("a data center's name is letters, digits, underscores and hyphens");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(keyspace: &str, data_center: &str) -> CqlSettings {
        CqlSettings {
            region: Region::Singapore,
            contact_points: vec!["127.0.0.1:9042".to_owned()],
            keyspace: keyspace.to_owned(),
            data_center: data_center.to_owned(),
            credentials: None,
            tls: None,
            call_timeout: Duration::from_secs(1),
        }
    }

    #[test]
    fn only_names_become_part_of_a_statement() {
        assert!(settings("bulkhead_1", "ap-southeast-1").check().is_ok());
        assert!(settings(&"k".repeat(48), "dc1").check().is_ok());
        for keyspace in ["", "1a", "Bulkhead", "a b", "a;b", &"k".repeat(49)] {
            assert!(settings(keyspace, "dc1").check().is_err(), "{keyspace}");
        }
        for data_center in ["", "a b", "a'b"] {
            assert!(settings("a", data_center).check().is_err(), "{data_center}");
        }
    }
}
