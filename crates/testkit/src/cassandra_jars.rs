//! Where Cassandra's jars and a Java that runs them are.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

const POM: &str = include_str!("../cassandra/pom.xml");

/// The version of the POM, which names the folder.
const VERSION: &str = "5.0.5";

/// Folder with Cassandra and everything that it needs; fetched by Maven when it is not there yet.
pub(crate) fn jars() -> Result<PathBuf> {
    let folder = target_folder().join("cassandra");
    let jars = folder.join(VERSION);
    if jars.exists() {
        return Ok(jars);
    }
    // Into a folder of this process and then renamed: whoever sees the name sees all of it.
    let fetched = folder.join(format!("fetching-{}", std::process::id()));
    fs::create_dir_all(&fetched)?;
    fs::write(fetched.join("pom.xml"), POM)?;
    let status = Command::new("mvn")
        .args(["--quiet", "--batch-mode", "dependency:copy-dependencies", "-DoutputDirectory=jars"])
        .current_dir(&fetched)
        .status()
        .context("tests on a real Cassandra need Maven (`mvn`) to fetch it")?;
    if !status.success() {
        bail!("Maven could not fetch Cassandra: {status}");
    }
    match fs::rename(fetched.join("jars"), &jars) {
        Ok(()) => {}
        // Another process was faster.
        Err(_) if jars.exists() => {}
        Err(error) => return Err(error).context("keep Cassandra's jars"),
    }
    fs::remove_dir_all(&fetched)?;
    Ok(jars)
}

/// A Java 17: what `JAVA_17_HOME` names, one where Debian puts it, or the `java` of the path.
pub(crate) fn java() -> Result<PathBuf> {
    let named = std::env::var_os("JAVA_17_HOME").map(|home| PathBuf::from(home).join("bin/java"));
    let installed = fs::read_dir("/usr/lib/jvm").into_iter().flatten().flatten();
    let installed = installed.map(|entry| entry.path().join("bin/java"));
    let candidates = named.into_iter().chain([PathBuf::from("java")]).chain(installed);
    for candidate in candidates {
        let Ok(output) = Command::new(&candidate).arg("-version").output() else { continue };
        if String::from_utf8_lossy(&output.stderr).contains("version \"17.") {
            return Ok(candidate);
        }
    }
    bail!("tests on a real Cassandra need a Java 17; set JAVA_17_HOME")
}

fn target_folder() -> PathBuf {
    let named = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    named.unwrap_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target")))
}
