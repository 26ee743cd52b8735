//! Images from files of this machine: a program with the libraries that it is linked to, and nothing else.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::engine::Engine;
use crate::program;

pub(super) const BULKHEAD: &str = "bulkhead:latest";
pub(super) const REDIS: &str = "bulkhead-test/redis";
pub(super) const DATABASE: &str = "bulkhead-test/cassandra";
const TOOLCHAIN: &str = "bulkhead-test/toolchain";
const RUNTIME: &str = "bulkhead-test/runtime";

/// The version in `crates/testkit/cassandra/pom.xml`.
const CASSANDRA: &str = "5.0.5";

/// A `cargo` that hands over what was compiled outside.
const CARGO: &str = "#!/bin/sh\nset -e\nmkdir -p target/debug\ncp /prebuilt/bulkhead target/debug/bulkhead\n";

/// Starts Cassandra as the composition starts ScyllaDB: its data center is the one of the mounted file, its data the
/// volume. The options that are ScyllaDB's own are not looked at.
const START_CASSANDRA: &str = r#"#!/bin/bash
set -e
while read -r address name _; do [ "$name" = "$HOSTNAME" ] && own=$address; done </etc/hosts
mkdir -p /var/lib/scylla/node
settings=$(</opt/node/cassandra.yaml)
settings=${settings//@address@/$own}
settings=${settings//@authenticator@/AllowAllAuthenticator}
settings=${settings//@client_encryption@/}
settings=${settings//@native_port@/9042}
settings=${settings//@storage_port@/7000}
settings=${settings//@ssl_storage_port@/7001}
settings=${settings//@folder@//var/lib/scylla/node}
printf '%s\n' "$settings" >/var/lib/scylla/node/cassandra.yaml
agents=(/opt/jars/jamm-*.jar)
exec /opt/java/bin/java @/opt/node/jvm.options "-javaagent:${agents[0]}" \
  -Dcassandra.config=file:///var/lib/scylla/node/cassandra.yaml -Dcassandra.storagedir=/var/lib/scylla/node \
  -Dcassandra-rackdc.properties=file:///etc/scylla/cassandra-rackdc.properties \
  -Dlogback.configurationFile=/opt/node/logback.xml -cp '/opt/node:/opt/jars/*' \
  org.apache.cassandra.service.CassandraDaemon
"#;

/// Whether the database takes connections; the composition asks ScyllaDB's with a query.
const CQLSH: &str = "#!/bin/bash\nexec 3<>\"/dev/tcp/$HOSTNAME/9042\"\n";

/// Builds Bulkhead's image by its Dockerfile, and all stand-ins.
pub(super) fn build(root: &Path, engine: &Engine, binary: &Path) -> Result<()> {
    let toolchain = Tree::new(engine, "toolchain")?;
    for name in ["sh", "mkdir", "cp", "chmod", "chown"] {
        toolchain.program(&find(name)?, &format!("bin/{name}"))?;
    }
    toolchain.script("usr/local/bin/cargo", CARGO)?;
    toolchain.file(binary, "prebuilt/bulkhead")?;
    toolchain.build(TOOLCHAIN, "")?;

    let runtime = Tree::new(engine, "runtime")?;
    runtime.libraries(binary)?;
    runtime.build(RUNTIME, "")?;

    let redis = Tree::new(engine, "redis")?;
    for name in ["redis-server", "redis-cli"] {
        redis.program(&find(name)?, &format!("usr/bin/{name}"))?;
    }
    redis.build(REDIS, "")?;
    database(root, engine)?;

    let mut command = engine.docker();
    command.current_dir(root).args(["build", "--quiet", "--network", "none"]);
    command.args(["--file", "deploy/docker/Dockerfile", "--tag", BULKHEAD]);
    for argument in
        [format!("BUILD_IMAGE={TOOLCHAIN}"), format!("RUNTIME_IMAGE={RUNTIME}"), "PROFILE=dev".to_owned()]
    {
        command.args(["--build-arg", &argument]);
    }
    program::run(command.arg("."))
}

fn database(root: &Path, engine: &Engine) -> Result<()> {
    let tree = Tree::new(engine, "database")?;
    let java = java_home()?.canonicalize()?;
    copy_tree(&java, &tree.at("opt/java")?)?;
    // Debian's Java has its settings there and links to them.
    let settings = Path::new("/etc/java-17-openjdk");
    if settings.exists() {
        copy_tree(settings, &tree.at("etc/java-17-openjdk")?)?;
    }
    tree.libraries(&java.join("bin/java"))?;
    for entry in fs::read_dir(java.join("lib"))?.chain(fs::read_dir(java.join("lib/server"))?) {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "so") {
            tree.libraries(&path)?;
        }
    }
    copy_tree(&jars(root)?, &tree.at("opt/jars")?)?;
    for name in ["cassandra.yaml", "jvm.options", "logback.xml"] {
        tree.file(&root.join("crates/testkit/cassandra").join(name), &format!("opt/node/{name}"))?;
    }
    for name in ["bash", "mkdir"] {
        tree.program(&find(name)?, &format!("bin/{name}"))?;
    }
    tree.script("usr/bin/cqlsh", CQLSH)?;
    tree.script("start", START_CASSANDRA)?;
    fs::create_dir_all(tree.folder.join("tmp"))?;
    tree.build(DATABASE, "ENTRYPOINT [\"/start\"]\n")
}

/// The files of an image to be.
struct Tree<'a> {
    engine: &'a Engine,
    folder: PathBuf,
}

impl<'a> Tree<'a> {
    fn new(engine: &'a Engine, name: &str) -> Result<Self> {
        Ok(Self { engine, folder: engine.folder(&format!("images/{name}/root"))? })
    }

    /// Where a file of the image lies here; its folder is made.
    fn at(&self, path: &str) -> Result<PathBuf> {
        let path = self.folder.join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().context("a path in a folder")?)?;
        Ok(path)
    }

    fn file(&self, from: &Path, to: &str) -> Result<()> {
        fs::copy(from, self.at(to)?).with_context(|| from.display().to_string())?;
        Ok(())
    }

    fn script(&self, path: &str, text: &str) -> Result<()> {
        let path = self.at(path)?;
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        Ok(())
    }

    fn program(&self, from: &Path, to: &str) -> Result<()> {
        self.file(from, to)?;
        self.libraries(from)
    }

    /// The libraries that a program or a library is linked to, at the paths that they are looked for at.
    fn libraries(&self, of: &Path) -> Result<()> {
        let listed = program::answer(Command::new("ldd").arg(of)).unwrap_or_default();
        for word in listed.split_whitespace().filter(|word| word.starts_with('/')) {
            if !self.at(word)?.exists() {
                self.file(Path::new(word), word)?;
            }
        }
        Ok(())
    }

    fn build(self, tag: &str, more: &str) -> Result<()> {
        let context = self.folder.parent().context("the tree is in a folder")?;
        fs::write(context.join("Dockerfile"), format!("FROM scratch\nCOPY root /\n{more}"))?;
        program::run(
            self.engine.docker().args(["build", "--quiet", "--network", "none", "--tag", tag]).arg(context),
        )?;
        fs::remove_dir_all(context)?;
        Ok(())
    }
}

fn find(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.with_context(|| format!("missing: {name}"))
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    program::run(Command::new("cp").arg("--archive").arg(from).arg(to))
}

fn java_home() -> Result<PathBuf> {
    let named = std::env::var_os("JAVA_17_HOME").map(PathBuf::from);
    let debian = PathBuf::from("/usr/lib/jvm/java-17-openjdk-amd64");
    let mut candidates = named.into_iter().chain([debian]);
    candidates.find(|home| home.join("bin/java").is_file()).context("missing: a Java 17; set JAVA_17_HOME")
}

/// Cassandra and everything that it needs, where the tests keep it too.
fn jars(root: &Path) -> Result<PathBuf> {
    let jars = root.join("target/cassandra").join(CASSANDRA);
    if !jars.exists() {
        let fetched = root.join("target/cassandra/fetching-docker");
        fs::create_dir_all(&fetched)?;
        fs::copy(root.join("crates/testkit/cassandra/pom.xml"), fetched.join("pom.xml"))?;
        let asked = ["--quiet", "--batch-mode", "dependency:copy-dependencies", "-DoutputDirectory=jars"];
        program::run(Command::new("mvn").args(asked).current_dir(&fetched))?;
        fs::rename(fetched.join("jars"), &jars)?;
    }
    Ok(jars)
}
