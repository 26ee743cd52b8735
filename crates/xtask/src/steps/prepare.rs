//! What the tests start must be there before they run: a test that cannot start its server fails.

use std::path::Path;

use anyhow::Result;

use crate::system;

pub(super) fn run(_: &Path) -> Result<Vec<String>> {
    let packages = &["redis-server", "redis-tools"];
    system::require("redis-server", packages, "redis-server 7.0 or newer (Debian: redis-server)")?;
    system::require("redis-cli", packages, "redis-cli (Debian: redis-tools)")?;
    // Cassandra comes from Maven Central and runs on Java 17.
    system::require("mvn", &["maven", "openjdk-17-jre-headless"], "Maven and Java 17 (Debian: maven)")?;
    // Without the right to make network namespaces, the test of the regions does without them and says so.
    if system::is_root() {
        system::require("ip", &["iproute2"], "ip (Debian: iproute2)")?;
    }
    Ok(Vec::new())
}
