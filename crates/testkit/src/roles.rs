//! The roles as separate processes on one folder.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::{Certificates, Process, free_ports};

/// The order of start; a stop goes the other way round.
const ROLES: [&str; 4] = ["storage", "auth", "router", "gateway"];

/// Writes the configuration of the four roles on `folder/data`, with clients at `port` and certificates of the region's own
/// authority. `storage_section` is what the storage section says beyond its addresses and the region key, and the sections below
/// it. Answers the address of auth.
pub(crate) fn configure(
    binary: &Path,
    folder: &Path,
    region: &str,
    port: u16,
    storage_section: &str,
) -> Result<String> {
    let [auth, router, storage] = free_ports(Ipv4Addr::LOCALHOST)?;
    let data = folder.join("data");
    let settings = format!(
        r#"region = "{region}"

[log]
filter = "debug"

[gateway]
listen = "127.0.0.1:{port}"

[auth]
listen = "127.0.0.1:{auth}"

[router]
listen = "127.0.0.1:{router}"

[storage]
listen = "127.0.0.1:{storage}"
data_dir = "{data}"
region_key_file = "{data}/region.key"
{storage_section}

[endpoints.auth]
url = "https://127.0.0.1:{auth}"
region = "{region}"

[endpoints.router]
url = "https://127.0.0.1:{router}"
region = "{region}"

[endpoints.storage]
url = "https://127.0.0.1:{storage}"
region = "{region}"
"#,
        data = data.display(),
    );
    let certificates = Certificates::of(binary, &folder.join("certificates"), region)?;
    for role in ROLES {
        certificates.issue(role, &[])?;
        let config = folder.join(format!("{role}.toml"));
        std::fs::write(&config, format!("{settings}\n{}", certificates.section(role)))?;
    }
    Ok(format!("https://127.0.0.1:{auth}"))
}

/// Starts the four roles as they are configured.
pub(crate) fn start(binary: &Path, folder: &Path) -> Result<Vec<(&'static str, Process)>> {
    let mut processes = Vec::with_capacity(ROLES.len());
    for role in ROLES {
        let config = folder.join(format!("{role}.toml"));
        let arguments = [role.to_owned(), "--config".to_owned(), config.display().to_string()];
        processes.push((role, Process::start(binary, &arguments, &folder.join(format!("{role}.log")))?));
    }
    Ok(processes)
}

/// Whether the gateway answers `/healthz` and its region serves: an unknown app is answered as one, not as an outage.
pub(crate) fn answers(gateway: SocketAddrV4) -> bool {
    status_of(gateway, "/nobody/nothing/users").is_some_and(|status| status == 404 || status == 401)
}

fn status_of(gateway: SocketAddrV4, path: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(gateway).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {gateway}\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}
