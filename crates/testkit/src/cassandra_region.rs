//! A region on a keyspace of Cassandra, made the way an operator makes one.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::region::{App, User};
use crate::{Cassandra, Certificates, roles};

/// The region of the shared Cassandra's data center.
pub(crate) const REGION: &str = "singapore";

/// The app with users, as `bulkhead dev` makes it.
const FIRST_APP: &str = "demo/chat";

/// Its users.
const USERNAMES: [&str; 2] = ["alice", "bob"];

/// How long one REST call may take.
const CALL_LIMIT: Duration = Duration::from_secs(30);

/// A keyspace that is ready, and the configuration that names it.
pub(crate) struct Prepared {
    pub(crate) storage_section: String,
    pub(crate) auth_url: String,
}

/// Configures the roles in `folder` on a new keyspace and makes its tables with `bulkhead admin migrate`.
pub(crate) fn prepare(binary: &Path, folder: &Path, port: u16) -> Result<Prepared> {
    let node = Cassandra::shared()?;
    let storage_section = format!(
        "engine = \"cql\"\n\n[storage.cql]\ncontact_points = \"{}\"\nregion = \"{REGION}\"\ndata_center = \"{}\"\n\
         keyspace = \"{}\"\nreplication_factor = 1",
        node.contact_point(),
        node.data_center(),
        node.new_keyspace(),
    );
    fs::create_dir_all(folder.join("data"))?;
    let mut key =
        File::options().write(true).create_new(true).mode(0o600).open(folder.join("data/region.key"))?;
    key.write_all("11e45678".repeat(8).as_bytes())?;
    let auth_url = roles::configure(binary, folder, REGION, port, &storage_section)?;
    let config = folder.join("storage.toml").display().to_string();
    admin(binary, &["migrate", "--config", &config])?;
    Ok(Prepared { storage_section, auth_url })
}

/// Creates `demo/chat` with its users, and the other apps, in the running region.
pub(crate) fn make_apps(
    binary: &Path,
    folder: &Path,
    auth_url: &str,
    port: u16,
    further: &[&str],
) -> Result<Vec<App>> {
    let certificates = Certificates::of(binary, &folder.join("certificates"), REGION)?;
    certificates.issue("console", &[])?;
    let file = |name: &str| certificates.out().join(name).display().to_string();
    let (ca, certificate, key) = (file("ca.pem"), file("console.pem"), file("console.key"));
    let mut apps = Vec::new();
    for name in [FIRST_APP].iter().chain(further) {
        let arguments = [
            "app",
            "create",
            name,
            "--json",
            "--region",
            REGION,
            "--auth",
            auth_url,
            "--ca-file",
            &ca,
            "--certificate-file",
            &certificate,
            "--key-file",
            &key,
        ];
        let mut description: Value = serde_json::from_slice(&admin(binary, &arguments)?)?;
        description["users"] = json!([]);
        let mut app: App = serde_json::from_value(description)?;
        if *name == FIRST_APP {
            app.users = make_users(port, &app)?;
        }
        apps.push(app);
    }
    Ok(apps)
}

fn make_users(port: u16, app: &App) -> Result<Vec<User>> {
    let grant = json!({
        "grant_type": "client_credentials", "client_id": app.client_id, "client_secret": app.client_secret,
    });
    let base = format!("/{}/{}", app.org_name, app.app_name);
    let granted = post(port, &format!("{base}/token"), "", &grant)?;
    let token = granted["access_token"].as_str().context("no token")?.to_owned();
    let mut users = Vec::new();
    for username in USERNAMES {
        let password = format!("{username}-of-the-tests");
        let user = json!([{ "username": username, "password": password }]);
        let made = post(port, &format!("{base}/users"), &token, &user)?;
        let uuid = made["entities"][0]["uuid"].as_str().context("no uuid")?.to_owned();
        users.push(User { username: username.to_owned(), password, uuid });
    }
    Ok(users)
}

fn admin(binary: &Path, arguments: &[&str]) -> Result<Vec<u8>> {
    let output = Command::new(binary).arg("admin").args(arguments).output()?;
    if !output.status.success() {
        bail!("bulkhead admin {}: {}", arguments[0], String::from_utf8_lossy(&output.stderr));
    }
    Ok(output.stdout)
}

/// One REST call that must succeed. Without a runtime, because tests start regions inside and outside of one.
fn post(port: u16, path: &str, token: &str, body: &Value) -> Result<Value> {
    let body = body.to_string();
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(CALL_LIMIT))?;
    let authorization =
        if token.is_empty() { String::new() } else { format!("authorization: Bearer {token}\r\n") };
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-type: application/json\r\n\
         {authorization}content-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
    if head.split(' ').nth(1) != Some("200") {
        bail!("POST {path}: {head}\n{body}");
    }
    Ok(serde_json::from_str(body)?)
}
