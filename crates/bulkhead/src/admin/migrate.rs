use std::path::PathBuf;

use bulkhead_chassis::config::EngineConfig;
use bulkhead_chassis::{Config, Role, SystemClock};
use bulkhead_model::Clock;
use bulkhead_store_cql::migrate;
use clap::Args;
use serde_json::json;

use crate::{Failure, cql};

#[derive(Args)]
pub(super) struct MigrateArguments {
    /// Configuration file of the storage service, whose engine must be "cql".
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Makes or updates the keyspace that a storage service is configured for. Repeating it does no harm.
pub(super) async fn run(as_json: bool, arguments: MigrateArguments) -> Result<(), Failure> {
    let config = Config::load(Role::Storage, &arguments.config)?;
    let Some(EngineConfig::Cql(database)) = config.engine else {
        return Err(Failure::usage("storage.engine: the embedded engine makes its folder by itself"));
    };
    let copies = database.replication_factor;
    let settings = cql::settings(config.region, database)?;
    let migration =
        migrate(&settings, copies, SystemClock.now_ms()).await.map_err(|error| cql::failure(&error))?;
    let (keyspace, region) = (&settings.keyspace, config.region.name());
    if as_json {
        println!(
            "{}",
            json!({ "keyspace": keyspace, "region": region, "from": migration.from, "to": migration.to })
        );
    } else if migration.from == migration.to {
        println!("keyspace {keyspace} of {region} has schema {} already", migration.to);
    } else {
        println!("keyspace {keyspace} of {region} has schema {} (before: {})", migration.to, migration.from);
    }
    Ok(())
}
