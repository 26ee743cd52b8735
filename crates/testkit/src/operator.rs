use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::Certificates;
use crate::region::{App, User};

/// Users of an app, as `bulkhead dev` makes them.
const USERNAMES: [&str; 2] = ["alice", "bob"];

/// How long one REST call may take.
const CALL_LIMIT: Duration = Duration::from_secs(30);

/// Who looks after a running region with `bulkhead admin`, under a certificate of the console.
pub(crate) struct Operator {
    binary: PathBuf,
    reach: Vec<String>,
}

impl Operator {
    /// Issues the certificate. `auth_url` is where the region's auth service listens.
    pub(crate) fn new(
        binary: &Path,
        certificates: &Certificates,
        region: &str,
        auth_url: &str,
    ) -> Result<Self> {
        certificates.issue("console", &[])?;
        let mut reach = Vec::new();
        for (name, value) in [("--region", region), ("--auth", auth_url)] {
            reach.extend([name.to_owned(), value.to_owned()]);
        }
        for (name, file) in
            [("--ca-file", "ca.pem"), ("--certificate-file", "console.pem"), ("--key-file", "console.key")]
        {
            reach.extend([name.to_owned(), certificates.out().join(file).display().to_string()]);
        }
        Ok(Self { binary: binary.to_owned(), reach })
    }

    /// The arguments with which every command of `bulkhead admin` reaches the region.
    pub(crate) fn reach(&self) -> &[String] {
        &self.reach
    }

    /// What a command prints, as JSON.
    pub(crate) fn admin(&self, arguments: &[&str]) -> Result<Value> {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned());
        let arguments: Vec<_> = arguments.chain(["--json".to_owned()]).chain(self.reach.clone()).collect();
        Ok(serde_json::from_slice(&admin(&self.binary, &arguments)?)?)
    }

    /// Creates the app `ORG/APP`, without users.
    pub(crate) fn make_app(&self, name: &str) -> Result<App> {
        let mut description = self.admin(&["app", "create", name])?;
        description["users"] = json!([]);
        Ok(serde_json::from_value(description)?)
    }
}

/// Registers alice and bob in the app through the gateway at `host:port`.
pub(crate) fn make_users(gateway: &str, app: &mut App) -> Result<()> {
    let grant = json!({
        "grant_type": "client_credentials", "client_id": app.client_id, "client_secret": app.client_secret,
    });
    let base = format!("/{}/{}", app.org_name, app.app_name);
    let granted = post(gateway, &format!("{base}/token"), "", &grant)?;
    let token = granted["access_token"].as_str().context("no token")?.to_owned();
    for username in USERNAMES {
        let password = format!("{username}-of-the-tests");
        let user = json!([{ "username": username, "password": password }]);
        let made = post(gateway, &format!("{base}/users"), &token, &user)?;
        let uuid = made["entities"][0]["uuid"].as_str().context("no uuid")?.to_owned();
        app.users.push(User { username: username.to_owned(), password, uuid });
    }
    Ok(())
}

/// What a command of `bulkhead admin` prints.
pub(crate) fn admin(binary: &Path, arguments: &[String]) -> Result<Vec<u8>> {
    let output = Command::new(binary).arg("admin").args(arguments).output()?;
    if !output.status.success() {
        bail!("bulkhead admin {}: {}", arguments[0], String::from_utf8_lossy(&output.stderr));
    }
    Ok(output.stdout)
}

/// One REST call that must succeed. Without a runtime, because tests start regions inside and outside of one.
fn post(gateway: &str, path: &str, token: &str, body: &Value) -> Result<Value> {
    let body = body.to_string();
    let mut stream = TcpStream::connect(gateway)?;
    stream.set_read_timeout(Some(CALL_LIMIT))?;
    let authorization =
        if token.is_empty() { String::new() } else { format!("authorization: Bearer {token}\r\n") };
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nhost: {gateway}\r\nconnection: close\r\ncontent-type: application/json\r\n\
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
