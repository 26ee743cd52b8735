//! `admin residency`: where the data of nodes can go, from their files and from themselves.

use std::fs;
use std::net::TcpListener;

use serde_json::Value;

use crate::roles::{endpoint, start};
use crate::support::{run, run_json, stopped_region};

#[test]
fn a_running_node_reports_what_it_is_configured_for_and_has_dialled_with_the_regions() {
    let folder = stopped_region();
    let (data, key) = (folder.path().display(), folder.path().join("region.key"));
    let storage = format!("[storage]\ndata_dir = \"{data}\"\nregion_key_file = \"{}\"\n", key.display());
    let (storage, storage_at) = start(folder.path(), "storage", &storage);
    let (auth, auth_at) = start(folder.path(), "auth", &endpoint("storage", &storage_at));
    let monitor = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let settings = format!(
        "[monitor]\nlisten = \"{monitor}\"\n[homes]\nfrankfurt = \"https://fra.example.com\"\n{}{}",
        endpoint("storage", &storage_at),
        endpoint("auth", &auth_at)
    );
    let (router, _) = start(folder.path(), "router", &settings);

    let url = format!("http://{monitor}");
    let report = run_json(&["admin", "--json", "residency", "--monitor", &url]);
    assert_eq!(report["findings"], 0);
    let report = &report["nodes"][0]["report"];
    assert_eq!(report["region"], "singapore");
    assert_eq!(report["process"], "router");
    assert_eq!(report["identity"], "spiffe://bulkhead/singapore/router");
    let rows = |list: &Value| list.as_array().unwrap().clone();
    let configured = rows(&report["configured"]);
    let found = |setting: &str| configured.iter().find(|row| row["setting"] == setting).unwrap().clone();
    assert_eq!(found("endpoints.storage.url")["address"], format!("https://{storage_at}"));
    assert_eq!(found("endpoints.storage.url")["region"], "singapore");
    assert_eq!(found("homes.frankfurt")["purpose"], "told_to_clients");
    // It has talked to storage to start, and storage has proven by its certificate where it is.
    let dialled = rows(&report["dialled"]);
    let to_storage = dialled.iter().find(|row| row["service"] == "storage").unwrap();
    assert_eq!(to_storage["address"], storage_at);
    assert_eq!(to_storage["proven_region"], "singapore");
    assert!(to_storage["connected"].as_u64().unwrap() >= 1);

    let text = run(&["admin", "residency", "--monitor", &url]);
    assert_eq!(text.code, 0, "{}", text.err);
    for expected in ["router: region singapore", &storage_at, "never called", "every address is in singapore"]
    {
        assert!(text.out.contains(expected), "{expected}: {}", text.out);
    }
    for role in [router, auth, storage] {
        assert_eq!(role.stop().code, 0);
    }
    assert_eq!(run(&["admin", "residency", "--monitor", &url]).code, 74);
}

#[test]
fn a_file_with_an_address_of_another_region_or_of_none_is_a_finding() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.toml");
    let path = file.to_str().unwrap();
    fs::write(&file, format!("region = \"singapore\"\n{}", endpoint("auth", "auth:7101"))).unwrap();
    let fine = run(&["admin", "residency", "--config", path]);
    assert_eq!(fine.code, 0, "{}", fine.err);
    assert!(
        fine.out.contains("endpoints.auth.url") && fine.out.contains("https://auth:7101"),
        "{}",
        fine.out
    );

    let foreign = endpoint("router", "router:7102").replace("singapore", "virginia");
    let unsaid = endpoint("storage", "storage:7103").replace("singapore", "");
    fs::write(&file, format!("region = \"singapore\"\n{foreign}{unsaid}")).unwrap();
    let found = run(&["admin", "--json", "residency", "--config", path]);
    assert_eq!(found.code, 1, "{}", found.err);
    let report: Value = serde_json::from_str(&found.out).unwrap();
    assert_eq!(report["findings"], 2);
    assert_eq!(run(&["admin", "residency"]).code, 64);
}
