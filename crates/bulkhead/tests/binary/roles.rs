//! The roles as separate processes on the folder of a region that `dev` made.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Running, dev_json, http, run, run_json, stopped_region};

/// Starts a role on a free port; answers its address, too.
fn start(folder: &Path, role: &str, settings: &str) -> (Running, String) {
    let file = folder.join(format!("{role}.toml"));
    let listen = format!("[{role}]\nlisten = \"127.0.0.1:0\"\n");
    let settings = settings.replace(&format!("[{role}]\n"), &listen);
    let settings = if settings.contains(&listen) { settings } else { settings + &listen };
    fs::write(&file, format!("region = \"singapore\"\n{settings}")).unwrap();
    let running = Running::start(&[role, "--config", file.to_str().unwrap()]);
    let ready = running.err_line("ready");
    let address = ready.split("address=").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    (running, address)
}

fn endpoint(service: &str, address: &str) -> String {
    format!("[endpoints.{service}]\nurl = \"http://{address}\"\nregion = \"singapore\"\n")
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
    let to_both = to_auth + &endpoint("router", &router_at);
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

    // The running region is administered over its auth service.
    let url = format!("http://{auth_at}");
    let shown = run_json(&["admin", "--auth", &url, "--json", "app", "show", "demo/chat"]);
    assert_eq!(shown["app_id"], app["app_id"]);
    // One that expects another region reaches nothing.
    let refused = run(&["admin", "--auth", &url, "--region", "frankfurt", "app", "list"]);
    assert_eq!(refused.code, 1, "{}", refused.err);

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
        "region = \"virginia\"\n[storage]\nlisten = \"127.0.0.1:0\"\ndata_dir = \"{data}\"\nregion_key_file = \"{}\"\n",
        key.display()
    );
    fs::write(&file, settings).unwrap();
    let ended = run(&["storage", "--config", file.to_str().unwrap()]);
    assert_eq!(ended.code, 64, "{}", ended.err);
    assert!(ended.err.contains("singapore"), "{}", ended.err);
}
