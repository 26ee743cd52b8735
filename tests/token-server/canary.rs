//! The app's own ids stay within the token server, and there nothing but the map key opens them.

use anyhow::ensure;
use bulkhead_testkit::files_that_contain;
use serde_json::json;

use crate::server::{TokenServer, text};
use crate::tokens::log_in;
use crate::wire::Request;

/// An id as an app may have it.
const CANARY: &str = "canary-of-the-mine@shop.example";

#[test]
fn the_apps_own_id_is_in_no_file_and_no_log_of_the_token_server_or_the_region_and_neither_is_a_token() {
    crate::in_both_compositions(|mut region| async move {
        let mut server = TokenServer::start(&region).await?;
        let user = server.token_of(CANARY).await?;
        log_in(&region, &user.username, &user.token).await?;
        let app = Request::new("POST", "/v1/tokens/app").send(&server.door).await?.ok()?;
        let by_name = format!("/v1/users/by-username/{}", user.username);
        ensure!(Request::get(&by_name).send(&server.door).await?.ok()?["user"] == CANARY, "another user");

        // And the ways that end in an error.
        let wrong = json!({ "user": CANARY, "ttl_s": 1 });
        Request::post("/v1/tokens/user", &wrong).send(&server.door).await?.refused(400, "invalid_request")?;
        let unknown = json!({ "user": CANARY, CANARY: CANARY });
        let refused = Request::post("/v1/tokens/user", &unknown).send(&server.door).await?;
        refused.refused(400, "invalid_request")?;
        ensure!(!refused.body.to_string().contains("canary"), "{}", refused.body);
        for path in [format!("/v1/users/{CANARY}"), format!("/v1/users/{CANARY}"), format!("/{CANARY}")] {
            Request::new("DELETE", &path).send(&server.door).await?;
        }
        server.token_of(CANARY).await?;

        let log = server.log();
        ensure!(log.contains("action=\"user_token\"") && log.contains("caller=loopback"), "no audit: {log}");
        ensure!(log.contains("result=\"user_not_found\""), "{log}");
        server.stop()?;
        region.stop()?;
        let mut folders = region.folders()?;
        folders.push(server.folder().to_owned());
        for needle in [CANARY, "canary-of", &user.token, &text(&app, "token")?] {
            for folder in &folders {
                let found = files_that_contain(folder, needle.as_bytes());
                ensure!(found.is_empty(), "{needle} is readable in {found:?}");
            }
        }
        // The search does find what is there.
        ensure!(!files_that_contain(server.folder(), user.username.as_bytes()).is_empty(), "no name either");
        Ok(())
    });
}
