//! One mistake after the other: a node of one region is configured with something of another region that runs. It does not
//! start, says which setting is wrong, and has carried nothing there.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bulkhead_testkit::{Process, S3Server, files_that_contain};
use tempfile::TempDir;
use toml::Value;

use crate::chat::CANARY;
use crate::configuration::{Change, read, set, text_of};
use crate::regions::{FOREIGN, KEYSPACE, MISTAKEN, Regions};

/// How long a node may take to see that it must not start, or to start.
const START_LIMIT: Duration = Duration::from_secs(40);

/// What the log of a node says when it takes work.
const READY: &str = ": ready role=";

/// Exit code of a configuration that does not fit.
const USAGE: i32 = 64;

/// What a node may send until it sees whom it talks to, in bytes of data, each counted twice: a handshake, or the
/// questions of a driver.
pub(crate) const GREETING_BYTES_MAX: usize = 32 * 1024;

/// What would be data of an app, or would carry it: texts and names of people, channels and registries of the bus, rows,
/// objects.
pub(crate) const DATA: [&[u8]; 7] =
    [CANARY.as_bytes(), b"alice", b"bh:{", b"bh:r:{", b"INSERT INTO", b"UPDATE ", b"PUT /"];

/// A mistake in the configuration of one node.
struct Mistake {
    node: &'static str,
    changes: Vec<Change>,
    /// What the refusal says: settings, and whose the thing is.
    says: &'static [&'static str],
    /// Whether it takes a conversation to find out.
    asks: bool,
}

/// Makes every mistake in turn.
pub(crate) fn is_refused(regions: &Regions) -> Result<()> {
    make_keyspace(regions)?;
    for node in ["storage", "auth", "router-1", "gateway-1"] {
        starts_without_a_mistake(regions, node).with_context(|| format!("{node} without a mistake"))?;
    }
    regions.traffic()?.is_none_at_all()?;
    // Those that need no conversation come first: of one, something may still be on its way when the node has ended.
    let mistakes = declared(regions)?.into_iter().chain(files(regions)).chain(conversations(regions)?);
    let outcomes = mistakes.map(|mistake| {
        refuses(regions, &mistake).with_context(|| format!("{} with {:?}", mistake.node, mistake.changes))
    });
    let accepted: Vec<_> = outcomes.filter_map(|outcome| Some(format!("{:#}", outcome.err()?))).collect();
    ensure!(accepted.is_empty(), "{} mistakes are not refused:\n{}", accepted.len(), accepted.join("\n\n"));
    let touched = files_that_contain(&regions.bucket.bucket_folder(), MISTAKEN.as_bytes());
    ensure!(touched.is_empty(), "{MISTAKEN} has left something in the bucket: {touched:?}");
    Ok(())
}

/// Everything is another region's and is said to be: the configuration alone is refused, all of it at once.
fn declared(regions: &Regions) -> Result<Vec<Mistake>> {
    const SAYS: [&str; 7] = [
        "telemetry.region: ",
        "bus.region: ",
        "storage.cql.region: ",
        "storage.objects.region: ",
        "endpoints.auth.region: ",
        "endpoints.router.region: ",
        "endpoints.storage.region: ",
    ];
    let foreign = regions.named(FOREIGN);
    let mistakes = ["storage", "auth", "router-1", "gateway-1"].map(|node| {
        let mut changes = vec![
            ("telemetry.otlp_endpoint", regions.bucket.endpoint().into()),
            ("bus.kind", "redis".into()),
            ("bus.shards", foreign.shard_urls().into()),
            ("storage.cql.contact_points", regions.database.contact_point().into()),
            ("storage.objects.endpoint", regions.bucket.endpoint().into()),
        ];
        for key in ["telemetry.region", "bus.region", "storage.cql.region", "storage.objects.region"] {
            changes.push((key, FOREIGN.into()));
        }
        for (url, region) in SERVICES {
            changes.push((url, foreign_url(regions, url)?.into()));
            changes.push((region, FOREIGN.into()));
        }
        Ok(Mistake { node, changes, says: &SAYS, asks: false })
    });
    mistakes.into_iter().collect()
}

/// The services that a configuration names.
const SERVICES: [(&str, &str); 3] = [
    ("endpoints.auth.url", "endpoints.auth.region"),
    ("endpoints.router.url", "endpoints.router.region"),
    ("endpoints.storage.url", "endpoints.storage.region"),
];

/// Files and folders of another region.
fn files(regions: &Regions) -> Vec<Mistake> {
    let foreign = regions.named(FOREIGN);
    let issued = |name: &str| Value::from(foreign.certificates().out().join(name).display().to_string());
    let certificate = |service: &str| {
        vec![
            ("identity.certificate_file", issued(&format!("{service}.pem"))),
            ("identity.key_file", issued(&format!("{service}.key"))),
        ]
    };
    let mut all = certificate("gateway");
    all.push(("identity.ca_file", issued("ca.pem")));
    let folder = |region: &str, name: &str| {
        Value::from(regions.named(region).folder().join(name).display().to_string())
    };
    let mistake = |node, changes, says| Mistake { node, changes, says, asks: false };
    vec![
        mistake("gateway-1", all, &["identity.ca_file: "]),
        mistake("gateway-1", certificate("gateway"), &["identity.certificate_file: ", "another region's"]),
        mistake(
            "storage",
            vec![("storage.data_dir", folder(FOREIGN, "data"))],
            &["storage.data_dir: ", FOREIGN],
        ),
        mistake(
            "storage",
            vec![("storage.objects.folder", folder("virginia", "data/objects"))],
            &["storage.objects: ", "virginia"],
        ),
    ]
}

/// What is another region's and is said to be the node's own: only who runs there can tell.
fn conversations(regions: &Regions) -> Result<Vec<Mistake>> {
    let (own, foreign) = (regions.named(MISTAKEN), regions.named(FOREIGN));
    let mistake = |node, changes, says| Mistake { node, changes, says, asks: true };
    let foreign_shard = foreign.shard_urls().remove(0);
    let mixed = vec![own.shard_urls().remove(0), foreign_shard.clone()];
    let database = |data_center: &str| {
        vec![
            ("storage.engine", "cql".into()),
            ("storage.cql.contact_points", regions.database.contact_point().into()),
            ("storage.cql.region", MISTAKEN.into()),
            ("storage.cql.data_center", data_center.into()),
            ("storage.cql.keyspace", KEYSPACE.into()),
        ]
    };
    let bucket = vec![
        ("storage.objects.kind", "s3".into()),
        ("storage.objects.region", MISTAKEN.into()),
        ("storage.objects.endpoint", regions.bucket.endpoint().into()),
        ("storage.objects.bucket", S3Server::BUCKET.into()),
        ("storage.objects.access_key", S3Server::ACCESS_KEY.into()),
        ("storage.objects.secret_key_file", regions.secret("bucket").display().to_string().into()),
    ];
    let mut mistakes = vec![
        mistake("router-1", vec![("bus.shards", vec![foreign_shard].into())], &["bus.shards: ", FOREIGN]),
        mistake("router-1", vec![("bus.shards", mixed.into())], &["bus.shards: ", FOREIGN]),
        mistake("storage", database(FOREIGN), &["storage.cql.keyspace: ", FOREIGN]),
        mistake("storage", database(MISTAKEN), &["storage.cql.data_center: "]),
        mistake("storage", bucket, &["storage.objects: ", FOREIGN]),
    ];
    let services: [(_, _, &[&str]); 6] = [
        ("auth", "endpoints.storage.url", &["endpoints.storage.url: ", "belongs to another region"]),
        ("router-1", "endpoints.auth.url", &["endpoints.auth.url: ", "belongs to another region"]),
        ("router-1", "endpoints.storage.url", &["endpoints.storage.url: ", "belongs to another region"]),
        ("gateway-1", "endpoints.auth.url", &["endpoints.auth.url: ", "belongs to another region"]),
        ("gateway-1", "endpoints.router.url", &["endpoints.router.url: ", "belongs to another region"]),
        ("gateway-1", "endpoints.storage.url", &["endpoints.storage.url: ", "belongs to another region"]),
    ];
    for (node, key, says) in services {
        let foreign = foreign_url(regions, key)?;
        // Alone, and behind those of the region itself.
        let mixed = format!("{},{foreign}", text_of(&read(&own.configuration(node))?, key)?);
        mistakes.push(mistake(node, vec![(key, foreign.into())], says));
        mistakes.push(mistake(node, vec![(key, mixed.into())], says));
    }
    Ok(mistakes)
}

/// Where a service of the foreign region is.
fn foreign_url(regions: &Regions, key: &str) -> Result<String> {
    text_of(&read(&regions.named(FOREIGN).configuration("gateway-1"))?, key)
}

fn refuses(regions: &Regions, mistake: &Mistake) -> Result<()> {
    let mut node = Started::new(regions, mistake.node, &mistake.changes)?;
    if node.is_ready()? {
        bail!("it takes work");
    }
    let status = node.process.wait(START_LIMIT)?;
    let log = node.process.log();
    let refusal = log.rfind("bulkhead: ").map_or("", |at| &log[at..]);
    ensure!(status.code() == Some(USAGE), "ended with {status}: {log}");
    for word in mistake.says {
        ensure!(refusal.contains(word), "does not say {word}: {log}");
    }
    let traffic = regions.traffic()?;
    if mistake.asks { traffic.holds_none_of(&DATA, GREETING_BYTES_MAX) } else { traffic.is_none_at_all() }
}

/// What is refused below is refused for the mistake and for nothing else that these nodes have in common.
fn starts_without_a_mistake(regions: &Regions, node: &'static str) -> Result<()> {
    let mut node = Started::new(regions, node, &[])?;
    if !node.is_ready()? {
        bail!("does not start: {}", node.process.log());
    }
    let status = node.process.terminate(START_LIMIT)?;
    ensure!(status.success(), "ended with {status}: {}", node.process.log());
    Ok(())
}

/// A further node of the mistaken region, in its place.
struct Started {
    process: Process,
    _folder: TempDir,
}

impl Started {
    /// As the node of this name is configured, with changes, and with ports and a data folder of its own.
    fn new(regions: &Regions, name: &'static str, changes: &[Change]) -> Result<Self> {
        let region = regions.named(MISTAKEN);
        let folder = tempfile::tempdir()?;
        let role = name.split('-').next().unwrap_or(name);
        let mut table = read(&region.configuration(name))?;
        table.remove("monitor");
        set(&mut table, &format!("{role}.listen"), format!("{}:0", region.host()).into())?;
        if role == "storage" {
            let data = folder.path().join("data").display().to_string();
            set(&mut table, "storage.data_dir", data.into())?;
            let key = regions.secret("region.key").display().to_string();
            set(&mut table, "storage.region_key_file", key.into())?;
        }
        // The engines of the tests are not of the machine that a region's namespace is, and have no TLS.
        for section in ["telemetry", "bus", "storage.cql", "storage.objects"] {
            set(&mut table, &format!("{section}.in_the_clear"), true.into())?;
        }
        for (key, value) in changes {
            set(&mut table, key, value.clone())?;
        }
        let file = folder.path().join("node.toml");
        std::fs::write(&file, table.to_string())?;
        let arguments = [role.to_owned(), "--config".to_owned(), file.display().to_string()];
        let log = folder.path().join("log");
        let binary = Path::new(env!("CARGO_BIN_EXE_bulkhead"));
        let process = regions.inside(MISTAKEN, || Process::start(binary, &arguments, &log))?;
        Ok(Self { process, _folder: folder })
    }

    /// Waits until it takes work, or has ended.
    fn is_ready(&mut self) -> Result<bool> {
        let start = Instant::now();
        loop {
            let has_ended = self.process.has_ended();
            if self.process.log().contains(READY) {
                return Ok(true);
            }
            if has_ended {
                return Ok(false);
            }
            ensure!(start.elapsed() <= START_LIMIT, "neither starts nor ends: {}", self.process.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The keyspace that the mistaken region is configured with: made, and so marked, by the foreign region.
fn make_keyspace(regions: &Regions) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut table = read(&regions.named(FOREIGN).configuration("storage"))?;
    set(&mut table, "storage.engine", "cql".into())?;
    for (key, value) in [
        ("contact_points", regions.database.contact_point().as_str()),
        ("region", FOREIGN),
        ("data_center", FOREIGN),
        ("keyspace", KEYSPACE),
    ] {
        set(&mut table, &format!("storage.cql.{key}"), value.into())?;
    }
    set(&mut table, "storage.cql.replication_factor", 1.into())?;
    set(&mut table, "storage.cql.in_the_clear", true.into())?;
    let file = folder.path().join("storage.toml");
    std::fs::write(&file, table.to_string())?;
    let migrated = regions.inside(FOREIGN, || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bulkhead"));
        Ok(command.args(["admin", "migrate", "--config"]).arg(&file).output()?)
    })?;
    ensure!(migrated.status.success(), "migrate: {}", String::from_utf8_lossy(&migrated.stderr));
    Ok(())
}
