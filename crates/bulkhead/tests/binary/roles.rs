//! The roles as separate processes on the folder of a region that `dev` made.

use std::fs;
use std::path::Path;

use bulkhead_testkit::Certificates;
use serde_json::{Value, json};

use crate::support::{Running, dev_json, http, run, stopped_region};

/// The authority and the certificates of the tests' region.
pub(crate) fn certificates(folder: &Path) -> Certificates {
    let binary = Path::new(env!("CARGO_BIN_EXE_bulkhead"));
    Certificates::of(binary, &folder.join("certificates"), "singapore").unwrap()
}

/// Starts a role on a free port with a certificate; answers its address, too.
pub(crate) fn start(folder: &Path, role: &str, settings: &str) -> (Running, String) {
    let certificates = certificates(folder);
    certificates.issue(role, &[]).unwrap();
    start_with(folder, role, &format!("{settings}{}", certificates.section(role)))
}

/// The same with an identity that stands in the settings.
pub(crate) fn start_with(folder: &Path, role: &str, settings: &str) -> (Running, String) {
    let file = folder.join(format!("{role}.toml"));
    let listen = format!("[{role}]\nlisten = \"127.0.0.1:0\"\n");
    let settings = settings.replace(&format!("[{role}]\n"), &listen);
    let settings = if settings.contains(&listen) { settings } else { format!("{settings}{listen}") };
    fs::write(&file, format!("region = \"singapore\"\n{settings}")).unwrap();
    let running = Running::start(&[role, "--config", file.to_str().unwrap()]);
    let ready = running.err_line("ready");
    let address = ready.split("address=").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    (running, address)
}

pub(crate) fn endpoint(service: &str, address: &str) -> String {
    format!("[endpoints.{service}]\nurl = \"https://{address}\"\nregion = \"singapore\"\n")
}

#[tokio::test]
async fn four_processes_are_one_region_and_stop_clean() {
    let folder = stopped_region();
    let app = dev_json(folder.path())["regions"][0]["apps"][0].clone();
    let (data, key) = (folder.path().display(), folder.path().join("region.key"));
    let storage_settings =
        format!("[storage]\ndata_dir = \"{data}\"\nregion_key_file = \"{}\"\n", key.display());
    let (storage, storage_at) = start(folder.path(), "storage", &storage_settings);
    let to_storage = endpoint("storage", &storage_at);
    let (auth, auth_at) = start(folder.path(), "auth", &to_storage);
    let to_auth = endpoint("auth", &auth_at);
    let (router, router_at) = start(folder.path(), "router", &(to_storage + &to_auth));
    let to_both = endpoint("storage", &storage_at) + &to_auth + &endpoint("router", &router_at);
    let (gateway, gateway_at) = start(folder.path(), "gateway", &to_both);

    let client = http();
    let login = json!({
        "grant_type": "client_credentials",
        "client_id": app["client_id"],
        "client_secret": app["client_secret"],
    });
    let answer =
        client.post(format!("http://{gateway_at}/demo/chat/token")).json(&login).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    let answer: Value = answer.json().await.unwrap();
    let token = answer["access_token"].as_str().unwrap();
    let message = json!({ "from": "alice", "to": ["bob"], "type": "txt", "body": { "msg": "hello over four processes" } });
    let sent = client
        .post(format!("http://{gateway_at}/demo/chat/messages/users"))
        .bearer_auth(token)
        .json(&message)
        .send()
        .await
        .unwrap();
    assert_eq!(sent.status().as_u16(), 200);
    let sent: Value = sent.json().await.unwrap();
    assert!(sent["data"]["bob"].is_string(), "{sent}");

    // The running region is administered over its auth service, with a certificate.
    let certificates = certificates(folder.path());
    certificates.issue("console", &[]).unwrap();
    let url = format!("https://{auth_at}");
    let admin = |further: &[&str]| {
        let out = certificates.out();
        let file = |name: &str| out.join(name).display().to_string();
        let (ca, certificate, key) = (file("ca.pem"), file("console.pem"), file("console.key"));
        let mut arguments =
            vec!["admin", "--auth", &url, "--ca-file", &ca, "--certificate-file", &certificate];
        arguments.extend(["--key-file", &key]);
        arguments.extend(further);
        run(&arguments)
    };
    let shown = admin(&["--json", "app", "show", "demo/chat"]);
    assert_eq!(serde_json::from_str::<Value>(&shown.out).unwrap()["app_id"], app["app_id"], "{}", shown.err);
    // A command that means another region has no certificate of it.
    let refused = admin(&["--region", "frankfurt", "app", "list"]);
    assert_eq!(refused.code, 64, "{}", refused.err);
    assert!(refused.err.contains("another region's"), "{}", refused.err);

    for role in [gateway, router, auth, storage] {
        let ended = role.stop();
        assert_eq!(ended.code, 0, "{}", ended.err);
    }
}

#[tokio::test]
async fn the_monitor_says_ready_and_shows_metrics() {
    let folder = stopped_region();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let monitor = taken.local_addr().unwrap();
    drop(taken);
    let (data, key) = (folder.path().display(), folder.path().join("region.key"));
    let settings = format!(
        "[monitor]\nlisten = \"{monitor}\"\n[storage]\ndata_dir = \"{data}\"\nregion_key_file = \"{}\"\n",
        key.display()
    );
    let (storage, _) = start(folder.path(), "storage", &settings);
    let report = crate::readiness::until_ready_is(&monitor.to_string(), 200).await;
    assert_eq!(report["dependencies"], json!({ "database": "ok" }));
    for path in ["healthz", "readyz", "metrics"] {
        let answer = http().get(format!("http://{monitor}/{path}")).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{path}");
    }
    assert_eq!(storage.stop().code, 0);
}

#[test]
fn a_role_of_another_region_refuses_the_folder() {
    let folder = stopped_region();
    let file = folder.path().join("storage.toml");
    let (data, key) = (folder.path().display(), folder.path().join("region.key"));
    let settings = format!(
        "region = \"virginia\"\nidentity.insecure = true\n[storage]\nlisten = \"127.0.0.1:0\"\ndata_dir = \"{data}\"\nregion_key_file = \"{}\"\n",
        key.display()
    );
    fs::write(&file, settings).unwrap();
    let ended = run(&["storage", "--config", file.to_str().unwrap()]);
    assert_eq!(ended.code, 64, "{}", ended.err);
    assert!(ended.err.contains("singapore"), "{}", ended.err);
}
