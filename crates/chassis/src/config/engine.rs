//! Where rows are kept: `storage.engine` and `[storage.cql]`.

use std::path::PathBuf;
use std::time::Duration;

use bulkhead_model::Region;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::Role;
use super::check::Check;

/// Most copies of a row that make sense in one data center.
const REPLICATION_FACTOR_MAX: u16 = 9;

/// The engine of the storage service.
pub enum EngineConfig {
    /// A folder of this machine: `data_dir`.
    Embedded,
    /// ScyllaDB or Apache Cassandra.
    Cql(CqlConfig),
}

/// The database, which was said to be in the node's region.
pub struct CqlConfig {
    /// `host:port` of some nodes.
    pub contact_points: Vec<String>,
    pub data_center: String,
    pub keyspace: String,
    /// Copies of each row in a keyspace that is made.
    pub replication_factor: u16,
    /// The name and where its password comes from; `None` when the database asks for none.
    pub user: Option<(String, PasswordSource)>,
    /// The authority of the database's certificates; `None` for connections without TLS.
    pub tls_ca_file: Option<PathBuf>,
    pub call_timeout: Duration,
}

/// Where a password comes from.
pub enum PasswordSource {
    File(PathBuf),
    Environment(Zeroizing<String>),
}

/// The values as they stand in the files.
#[derive(Deserialize)]
pub(super) struct RawCql {
    contact_points: String,
    region: String,
    data_center: String,
    keyspace: String,
    replication_factor: u16,
    user: String,
    password_file: String,
    password: String,
    tls_ca_file: String,
    call_timeout_ms: u64,
}

impl Check<'_> {
    /// The database is an endpoint like any other: it states its region, and it is the node's.
    pub(super) fn engine(
        &mut self,
        role: Role,
        own: Option<Region>,
        engine: &str,
        raw: RawCql,
    ) -> Option<EngineConfig> {
        if !raw.contact_points.is_empty() || (role == Role::Storage && engine == "cql") {
            self.cql_region(own, &raw.region);
        }
        if role != Role::Storage {
            return None;
        }
        match engine {
            "embedded" => Some(EngineConfig::Embedded),
            "cql" => self.cql(raw).map(EngineConfig::Cql),
            _ => {
                self.problem("storage.engine", "must be \"embedded\" or \"cql\"");
                None
            }
        }
    }

    fn cql(&mut self, raw: RawCql) -> Option<CqlConfig> {
        let points = raw.contact_points.split(',').map(str::trim).filter(|point| !point.is_empty());
        let contact_points: Vec<String> = points.map(str::to_owned).collect();
        if contact_points.is_empty() || !contact_points.iter().all(|point| is_host_and_port(point)) {
            let wrong = "must be host:port of the database, or several with commas between them";
            self.problem("storage.cql.contact_points", wrong);
        }
        let names = [("data_center", &raw.data_center), ("keyspace", &raw.keyspace)];
        for (key, _) in names.into_iter().filter(|(_, value)| value.is_empty()) {
            self.problem(&format!("storage.cql.{key}"), "must be set for engine \"cql\"");
        }
        if !(1..=REPLICATION_FACTOR_MAX).contains(&raw.replication_factor) {
            self.problem("storage.cql.replication_factor", "must be 1 to 9");
        }
        if raw.call_timeout_ms == 0 {
            self.problem("storage.cql.call_timeout_ms", "must be above 0");
        }
        let user = match (raw.user.as_str(), raw.password_file.as_str(), raw.password.as_str()) {
            ("", "", "") => None,
            ("", _, _) => {
                self.problem("storage.cql.user", "must be set when its password is");
                None
            }
            (_, "", "") => {
                let wrong = "must be set, or the password itself by BULKHEAD_STORAGE__CQL__PASSWORD";
                self.problem("storage.cql.password_file", wrong);
                None
            }
            (user, file, "") => Some((user.to_owned(), PasswordSource::File(PathBuf::from(file)))),
            (user, "", password) => {
                Some((user.to_owned(), PasswordSource::Environment(Zeroizing::new(password.to_owned()))))
            }
            _ => {
                let wrong = "is set beside storage.cql.password_file; set one of them";
                self.problem("storage.cql.password", wrong);
                None
            }
        };
        Some(CqlConfig {
            contact_points,
            data_center: raw.data_center,
            keyspace: raw.keyspace,
            replication_factor: raw.replication_factor,
            user,
            tls_ca_file: (!raw.tls_ca_file.is_empty()).then(|| PathBuf::from(raw.tls_ca_file)),
            call_timeout: Duration::from_millis(raw.call_timeout_ms),
        })
    }

    fn cql_region(&mut self, own: Option<Region>, stated: &str) {
        let key = "storage.cql.region";
        match stated.parse::<Region>() {
            Err(_) => self.problem(key, "must state the region of the database"),
            Ok(stated) if own.is_some_and(|own| own != stated) => {
                self.problem(key, "is another region than this node's");
            }
            Ok(_) => {}
        }
    }
}

fn is_host_and_port(text: &str) -> bool {
    let parts = text.rsplit_once(':');
    parts.is_some_and(|(host, port)| !host.is_empty() && !text.contains('/') && port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    const CQL: &str = r#"
        region = "singapore"
        identity.insecure = true
        [storage]
        region_key_file = "k"
        engine = "cql"
        [storage.cql]
        in_the_clear = true
        contact_points = "10.0.0.1:9042, db:9042"
        region = "singapore"
        data_center = "singapore"
        user = "bulkhead"
        password_file = "p"
    "#;

    fn read(file: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
        let environment = environment.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Config::read(Role::Storage, "node.toml", file, environment).map_err(|error| error.to_string())
    }

    fn cql(file: &str, environment: &[(&str, &str)]) -> CqlConfig {
        match read(file, environment).unwrap().engine {
            Some(EngineConfig::Cql(cql)) => cql,
            _ => panic!("the engine is another one"),
        }
    }

    fn refusal(file: &str) -> String {
        read(file, &[]).err().expect("the configuration is refused")
    }

    #[test]
    fn rows_are_in_the_data_folder_unless_a_database_is_named() {
        let embedded = read(&CQL.replace("engine = \"cql\"", ""), &[]).unwrap();
        assert!(matches!(embedded.engine, Some(EngineConfig::Embedded)));
        let cql = cql(CQL, &[]);
        assert_eq!(cql.contact_points, ["10.0.0.1:9042", "db:9042"]);
        assert_eq!((cql.keyspace.as_str(), cql.replication_factor), ("bulkhead", 3));
        assert!(matches!(cql.user, Some((user, PasswordSource::File(_))) if user == "bulkhead"));
        assert!(refusal(&CQL.replace("\"cql\"", "\"sql\"")).contains("storage.engine: must be"));
    }

    #[test]
    fn a_database_states_its_region_and_it_is_the_nodes() {
        let stated = "region = \"singapore\"\n        data_center";
        let frankfurt = CQL.replace(stated, "region = \"frankfurt\"\n        data_center");
        assert!(refusal(&frankfurt).contains("storage.cql.region: is another region than this node's"));
        let unused = frankfurt.replace("engine = \"cql\"", "");
        assert!(refusal(&unused).contains("storage.cql.region"), "also when it is not used");
        let silent = CQL.replace(stated, "data_center");
        assert!(refusal(&silent).contains("storage.cql.region: must state"));
    }

    #[test]
    fn a_password_is_in_no_configuration_file() {
        let in_file = CQL.replace("password_file = \"p\"", "password = \"hush\"");
        let told = refusal(&in_file);
        assert!(told.contains("storage.cql.password: a secret") && !told.contains("hush"), "{told}");
        let environment = [("BULKHEAD_STORAGE__CQL__PASSWORD", "hush")];
        let cql = cql(&CQL.replace("password_file = \"p\"", ""), &environment);
        assert!(matches!(cql.user, Some((_, PasswordSource::Environment(_)))));
        let both = read(CQL, &environment).err().expect("one of them is too many");
        assert!(both.contains("storage.cql.password: is set beside") && !both.contains("hush"), "{both}");
    }

    #[test]
    fn what_is_missing_is_told_at_once() {
        let told = refusal(
            "region = \"singapore\"\nidentity.insecure = true\n[storage]\nregion_key_file = \"k\"\nengine = \"cql\"\n\
             [storage.cql]\nreplication_factor = 10\ncall_timeout_ms = 0\nuser = \"u\"\nkeyspace = \"\"\n",
        );
        for key in
            ["contact_points", "region", "data_center", "keyspace", "replication_factor", "call_timeout_ms"]
        {
            assert!(told.contains(&format!("storage.cql.{key}: ")), "{key}: {told}");
        }
        assert!(told.contains("storage.cql.password_file: must be set"), "{told}");
        assert!(refusal(&CQL.replace("db:9042", "db")).contains("storage.cql.contact_points"));
    }
}
