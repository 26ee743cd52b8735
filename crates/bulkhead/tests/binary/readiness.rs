//! `/readyz` and `bulkhead health`: ready while everything that a process depends on is there.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::roles::{endpoint, start};
use crate::support::{http, run, stopped_region};

/// A dependency is looked at every two seconds.
const LIMIT: Duration = Duration::from_secs(30);

/// An address for a monitor that is free now.
pub(crate) fn free_address() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Waits until `/readyz` answers with this status, and answers what it says.
pub(crate) async fn until_ready_is(monitor: &str, status: u16) -> Value {
    let since = Instant::now();
    loop {
        let answer = http().get(format!("http://{monitor}/readyz")).send().await.unwrap();
        let found = answer.status().as_u16();
        let report: Value = answer.json().await.unwrap();
        if found == status {
            return report;
        }
        assert!(since.elapsed() < LIMIT, "{found}: {report}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_process_is_ready_as_long_as_what_it_depends_on_is_there() {
    let folder = stopped_region();
    let monitor = free_address();
    let (data, key) = (folder.path().display(), folder.path().join("region.key"));
    let settings = format!("[storage]\ndata_dir = \"{data}\"\nregion_key_file = \"{}\"\n", key.display());
    let (storage, storage_at) = start(folder.path(), "storage", &settings);
    let settings = format!("[monitor]\nlisten = \"{monitor}\"\n{}", endpoint("storage", &storage_at));
    let (auth, _) = start(folder.path(), "auth", &settings);

    let report = until_ready_is(&monitor, 200).await;
    assert_eq!(report, json!({ "ready": true, "serving": true, "dependencies": { "storage": "ok" } }));
    let asked = run(&["health", "--monitor", &monitor]);
    assert_eq!(asked.code, 0, "{}", asked.err);
    assert!(asked.out.contains("\"storage\":\"ok\""), "{}", asked.out);

    assert_eq!(storage.stop().code, 0);
    let report = until_ready_is(&monitor, 503).await;
    assert_eq!(report, json!({ "ready": false, "serving": true, "dependencies": { "storage": "away" } }));
    let asked = run(&["health", "--monitor", &monitor]);
    assert_eq!(asked.code, 1, "{}", asked.err);
    assert_eq!(
        run(&["health", "--monitor", &monitor, "--path", "/healthz"]).code,
        0,
        "it is alive all the same"
    );
    let metrics = http().get(format!("http://{monitor}/metrics")).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("bulkhead_dependency_up{dependency=\"storage\"} 0"), "{metrics}");

    assert_eq!(auth.stop().code, 0);
    assert_eq!(run(&["health", "--monitor", &monitor]).code, 74);
}
