//! A region's keyspace on Cassandra, made the way an operator makes one.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Result;

use crate::Cassandra;
use crate::operator::admin;

/// The region of the shared Cassandra's data center.
pub(crate) const REGION: &str = "singapore";

/// The app that every region has.
pub(crate) const FIRST_APP: &str = "demo/chat";

/// What a storage section says of a new keyspace on a node.
pub(crate) fn storage_section(node: &Cassandra, region: &str) -> String {
    format!(
        "engine = \"cql\"\n\n[storage.cql]\ncontact_points = \"{}\"\nregion = \"{region}\"\ndata_center = \"{}\"\n\
         keyspace = \"{}\"\nreplication_factor = 1\nin_the_clear = true\n",
        node.contact_point(),
        node.data_center(),
        node.new_keyspace(),
    )
}

/// Makes the tables of the keyspace that the configuration file of a storage process names.
pub(crate) fn migrate(binary: &Path, config: &Path) -> Result<()> {
    let arguments = ["migrate".to_owned(), "--config".to_owned(), config.display().to_string()];
    admin(binary, &arguments).map(drop)
}

/// Writes a region's key, another one for each name, into a new data folder.
pub(crate) fn write_region_key(data: &Path, region: &str) -> Result<()> {
    fs::create_dir_all(data)?;
    let mut key = File::options().write(true).create_new(true).mode(0o600).open(data.join("region.key"))?;
    let digits: String = region.bytes().cycle().take(32).map(|byte| format!("{byte:02x}")).collect();
    Ok(key.write_all(digits.as_bytes())?)
}
