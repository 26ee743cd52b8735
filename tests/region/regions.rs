//! The three regions with everything that they stand on.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bulkhead_testkit::{Capture, Cassandra, ClusterOptions, Networks, S3Server, TestCluster, free_ports};
use tempfile::TempDir;

use crate::traffic::Traffic;

/// The regions.
pub(crate) const NAMES: [&str; 3] = ["singapore", "frankfurt", "virginia"];

/// The one that also has a database and a bucket, which a neighbour may be configured with by mistake.
pub(crate) const FOREIGN: &str = "frankfurt";

/// The one that is configured wrongly.
pub(crate) const MISTAKEN: &str = "singapore";

/// The keyspace of the foreign region.
pub(crate) const KEYSPACE: &str = "bulkhead_frankfurt";

/// How long a connection between two namespaces may take.
const REACH_LIMIT: Duration = Duration::from_secs(10);

pub(crate) struct Regions {
    clusters: Vec<TestCluster>,
    /// The foreign region's; its storage keeps attachments there.
    pub(crate) bucket: S3Server,
    /// The foreign region's, with a keyspace that is marked for it.
    pub(crate) database: Cassandra,
    secrets: TempDir,
    /// Serves the bucket.
    _runtime: tokio::runtime::Runtime,
    capture: Option<Capture>,
    /// Last, so that the namespaces end after what is in them.
    networks: Networks,
}

impl Regions {
    /// Starts all of it, each in its region's place.
    pub(crate) fn start(networks: Networks) -> Result<Self> {
        let binary = Path::new(env!("CARGO_BIN_EXE_bulkhead"));
        let secrets = tempfile::tempdir()?;
        write_private(&secrets.path().join("bucket"), S3Server::SECRET_KEY)?;
        write_private(&secrets.path().join("region.key"), &"11e45678".repeat(8))?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let capture = networks.capture()?;
        let foreign_host = networks.host(FOREIGN);
        let bucket = networks.inside(FOREIGN, || runtime.block_on(S3Server::start_at(foreign_host)))?;
        let ports = NAMES.map(|name| {
            let host = networks.host(name);
            networks.inside(name, || free_ports::<2>(host)).map(|ports| (name, host, ports))
        });
        let ports = ports.into_iter().collect::<Result<Vec<_>>>()?;

        let start = |place: usize| {
            let (name, host, gateway_ports) = ports[place];
            let others = ports.iter().filter(|(other, ..)| *other != name);
            let options = ClusterOptions {
                region: name.to_owned(),
                host,
                gateway_ports: Some(gateway_ports),
                homes: others
                    .map(|(other, host, [port, _])| ((*other).to_owned(), format!("http://{host}:{port}")))
                    .collect(),
                storage_section: match name {
                    FOREIGN => objects_section(FOREIGN, &bucket.endpoint(), &secrets.path().join("bucket")),
                    _ => String::new(),
                },
                ..ClusterOptions::default()
            };
            networks.inside(name, || TestCluster::start_with(binary, options)).context(name)
        };
        let (clusters, database) = std::thread::scope(|scope| {
            let database =
                scope.spawn(|| networks.inside(FOREIGN, || Cassandra::start_at(FOREIGN, foreign_host)));
            let start = &start;
            let starting = [0, 1, 2].map(|place| scope.spawn(move || start(place)));
            let clusters = starting.into_iter().map(|starting| starting.join().expect("a region starts"));
            let clusters = clusters.collect::<Result<Vec<_>>>()?;
            anyhow::Ok((clusters, database.join().expect("the database starts")?))
        })?;
        Ok(Self { clusters, bucket, database, secrets, _runtime: runtime, capture, networks })
    }

    /// All of them, in the order of their names.
    pub(crate) fn all(&self) -> &[TestCluster] {
        &self.clusters
    }

    /// The region of this name.
    pub(crate) fn named(&self, name: &str) -> &TestCluster {
        self.clusters.iter().find(|cluster| cluster.region() == name).expect("it was started")
    }

    /// Does something in a region's place.
    pub(crate) fn inside<T: Send>(&self, name: &str, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        self.networks.inside(name, work)
    }

    /// A private file: `bucket` with the secret of the bucket, or `region.key`.
    pub(crate) fn secret(&self, name: &str) -> PathBuf {
        self.secrets.path().join(name)
    }

    /// What has passed between regions since the last call.
    pub(crate) fn traffic(&self) -> Result<Traffic> {
        let packets = self.capture.as_ref().map(Capture::take).transpose()?;
        Ok(Traffic::new(packets))
    }

    /// What every process has printed.
    pub(crate) fn logs(&self) -> String {
        self.clusters
            .iter()
            .map(|cluster| format!("===== {}\n{}", cluster.region(), cluster.logs()))
            .collect()
    }

    /// Gateways of the tests serve their own machine in the clear, and nobody beyond it.
    pub(crate) fn serve_nobody_else_in_the_clear(&self) -> Result<()> {
        if self.capture.is_none() {
            // On one machine everybody is at home.
            return Ok(());
        }
        for cluster in &self.clusters {
            let gateway = cluster.gateway(0);
            for from in NAMES.into_iter().filter(|from| *from != cluster.region()) {
                let answer = self.inside(from, || {
                    let mut stream = TcpStream::connect_timeout(&gateway.parse()?, REACH_LIMIT)?;
                    stream.write_all(
                        b"GET /demo/chat/users HTTP/1.1\r\nHost: chat\r\nConnection: close\r\n\r\n",
                    )?;
                    let mut answer = String::new();
                    stream.read_to_string(&mut answer)?;
                    Ok(answer)
                })?;
                let refused = answer.starts_with("HTTP/1.1 426 ") && answer.contains("\"tls_required\"");
                ensure!(refused, "{gateway} answered {from} {answer}");
            }
        }
        Ok(())
    }

    /// That nothing was seen proves something only if the regions could have talked, and if that would have been seen.
    pub(crate) fn can_reach_each_other(&self) -> Result<()> {
        const SAID: &[u8] = b"what no region would say to another";
        for from in NAMES {
            for to in NAMES.into_iter().filter(|to| *to != from) {
                let host = self.networks.host(to);
                let listener = self.inside(to, || Ok(TcpListener::bind((host, 0))?))?;
                let address = listener.local_addr()?;
                self.traffic()?;
                let heard = std::thread::scope(|scope| {
                    let listening = scope.spawn(|| {
                        let mut heard = vec![0; SAID.len()];
                        listener.accept()?.0.read_exact(&mut heard).map(|()| heard)
                    });
                    self.inside(from, || {
                        let mut stream = TcpStream::connect_timeout(&address, REACH_LIMIT)
                            .with_context(|| format!("{to} cannot be reached from {from}"))?;
                        Ok(stream.write_all(SAID)?)
                    })?;
                    anyhow::Ok(listening.join().expect("a listener")?)
                })?;
                ensure!(heard == SAID, "{to} heard something else from {from}");
                if let Some(seen) = self.traffic()?.count_that_contain(SAID) {
                    ensure!(seen > 0, "what {from} said to {to} was not captured");
                }
            }
        }
        Ok(())
    }
}

/// `[storage.objects]` for the bucket at `endpoint`, which is said to be in `region`.
pub(crate) fn objects_section(region: &str, endpoint: &str, secret: &Path) -> String {
    format!(
        "[storage.objects]\nkind = \"s3\"\nregion = \"{region}\"\nendpoint = \"{endpoint}\"\nbucket = \"{}\"\n\
         in_the_clear = true\n\
         access_key = \"{}\"\nsecret_key_file = \"{}\"\n",
        S3Server::BUCKET,
        S3Server::ACCESS_KEY,
        secret.display(),
    )
}

fn write_private(path: &Path, text: &str) -> Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}
