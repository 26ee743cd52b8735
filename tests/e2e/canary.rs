//! Guarantee 7: nothing that people write is readable in a file or a log, whichever way it came in.

use anyhow::{Result, ensure};
use bulkhead_testkit::{TestRegion, files_that_contain};
use serde_json::json;

use crate::rest::Rest;
use crate::socket::{Socket, text_of};

/// Looked for in every file; no legal identifier contains it.
const CANARY: &str = "CANARY+in+the+coal+mine";

#[test]
fn a_canary_sent_through_every_way_in_is_found_in_no_file_and_no_log() {
    crate::in_both_compositions(&[], canary);
}

pub(crate) async fn canary(mut region: TestRegion) -> Result<()> {
    let app = region.app().clone();
    let rest = Rest::new(&region, &app);
    let app_token = rest.app_token(&app).await?;
    let alice_token = rest.user_token(&app, "alice").await?;
    let bob_token = rest.user_token(&app, "bob").await?;

    let mut alice = Socket::login(&region, &app, "alice", &alice_token, "web_a").await?;
    let mut bob = Socket::login(&region, &app, "bob", &bob_token, "web_b").await?;
    alice.send_text("bob", 1, CANARY).await?;
    alice.ack(1, &mut Vec::new()).await?;
    ensure!(text_of(&bob.pushed(1).await?[0]) == CANARY, "the canary did not arrive");

    let text = json!({
        "from": "alice", "to": ["bob"], "type": "txt", "body": {"msg": CANARY}, "ext": {"note": CANARY},
    });
    rest.ok("POST", "/messages/users", &app_token, &text).await?;
    let custom = json!({
        "from": "alice", "to": ["bob"], "type": "custom",
        "body": {"customEvent": "event", "customExts": {"note": CANARY}},
    });
    rest.ok("POST", "/messages/users", &app_token, &custom).await?;
    let user = json!([{"username": "dora", "password": CANARY, "nickname": CANARY}]);
    rest.ok("POST", "/users", &app_token, &user).await?;
    rest.ok("PUT", "/users/dora", &app_token, &json!({"nickname": CANARY})).await?;
    rest.ok("PUT", "/users/dora/password", &app_token, &json!({"newpassword": CANARY})).await?;

    let file = rest.upload(&alice_token, CANARY, CANARY.repeat(10_000).as_bytes()).await?;
    let kept = rest.download(&file.path, &file.share_secret).await?;
    ensure!(kept == CANARY.repeat(10_000).as_bytes(), "the file is not what it was");

    // And the ways that end in an error.
    ensure!(rest.download(&file.path, CANARY).await.is_err(), "a wrong share secret was taken");
    let wrong_password = json!({"grant_type": "password", "username": "bob", "password": CANARY});
    rest.call("POST", "/token", "", &wrong_password).await?;
    rest.call("GET", "/users/bob", CANARY, &serde_json::Value::Null).await?;
    let no_body = json!({"from": "alice", "to": ["bob"], "type": CANARY, "body": {"msg": CANARY}});
    rest.call("POST", "/messages/users", &app_token, &no_body).await?;
    let mut refused = Socket::connect(&region, &app).await?;
    refused.provision("alice", CANARY, "web_x").await?;

    ensure!(rest.history("bob", &bob_token, "alice").await?.len() == 3, "the history lacks a message");
    region.stop()?;
    for needle in [CANARY, &app_token, &alice_token, &bob_token, &file.share_secret] {
        for folder in region.folders()? {
            let found = files_that_contain(&folder, needle.as_bytes());
            ensure!(found.is_empty(), "readable in {found:?}");
        }
    }
    Ok(())
}
