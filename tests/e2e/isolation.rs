//! Guarantee 5: a user reaches nothing of a channel that they are not in, and an app nothing of another app.

use anyhow::{Result, ensure};
use bulkhead_testkit::TestRegion;
use serde_json::{Value, json};

use crate::rest::Rest;
use crate::socket::Socket;

const SECRET: &str = "for bob alone";

#[test]
fn nobody_outside_a_channel_or_an_app_reaches_it() {
    crate::in_both_compositions(&["other/app"], isolation);
}

pub(crate) async fn isolation(region: TestRegion) -> Result<()> {
    let (app, other) = (region.apps()[0].clone(), region.apps()[1].clone());
    ensure!(other.app_key == "other#app", "the second app is {}", other.app_key);
    let (rest, other_rest) = (Rest::new(&region, &app), Rest::new(&region, &other));
    let app_token = rest.app_token(&app).await?;
    let alice_token = rest.user_token(&app, "alice").await?;
    let bob_token = rest.user_token(&app, "bob").await?;
    let carol_token = rest.any_user_token(&app_token, "carol").await?;

    let mut carol = Socket::login(&region, &app, "carol", &carol_token, "web_c").await?;
    let mut alice = Socket::login(&region, &app, "alice", &alice_token, "web_a").await?;
    alice.send_text("bob", 1, SECRET).await?;
    let id = alice.ack(1, &mut Vec::new()).await?.server_id();

    // Carol shares the app: nothing waits for her, her history with either is empty, theirs is closed to her.
    ensure!(carol.sync_all().await?.is_empty(), "carol was given something");
    for peer in ["alice", "bob"] {
        ensure!(rest.history("carol", &carol_token, peer).await?.is_empty(), "carol read {peer}'s messages");
        ensure!(carol.pull_all(peer).await?.is_empty(), "carol pulled {peer}'s messages");
    }
    let request = json!({"queue": "bob@easemob.com", "start": -1, "pull_number": 10, "is_positive": true});
    let refused = rest.call("POST", "/users/alice/messageroaming", &carol_token, &request).await?;
    ensure!(matches!(refused.status, 401 | 403), "carol asked for alice's history: {}", refused.status);

    // A message that she cannot see answers exactly like one that is not there.
    use bulkhead_msync::proto::message_body::Type;
    carol.send_about("alice", 2, Type::Recall, id).await?;
    let hidden = carol.ack(2, &mut Vec::new()).await?;
    carol.send_about("alice", 3, Type::Recall, 12345).await?;
    let missing = carol.ack(3, &mut Vec::new()).await?;
    ensure!(hidden.status == missing.status, "{:?} differs from {:?}", hidden.status, missing.status);
    ensure!(rest.history("bob", &bob_token, "alice").await?.len() == 1, "the message is gone");

    // The other app: neither token nor user exist there, over REST and on the socket.
    for (method, path) in [("GET", "/users/alice"), ("GET", "/users"), ("GET", "/users/alice/status")] {
        let answer = other_rest.call(method, path, &app_token, &Value::Null).await?;
        ensure!(answer.status == 401, "{method} {path} with the other app's token: {}", answer.status);
    }
    let other_token = other_rest.app_token(&other).await?;
    let answer = other_rest.call("GET", "/users/carol", &other_token, &Value::Null).await?;
    ensure!(answer.status == 404, "the other app knows carol: {}", answer.status);
    let mut stranger = Socket::connect(&region, &other).await?;
    let status = stranger.provision("alice", &alice_token, "web_x").await?.status.unwrap_or_default();
    ensure!(status.error_code.unwrap_or(0) != 0, "a token of one app opened a socket of another");

    // The same name in the other app is another person with another inbox.
    let twin_token = other_rest.any_user_token(&other_token, "bob").await?;
    let mut twin = Socket::login(&region, &other, "bob", &twin_token, "web_b").await?;
    ensure!(twin.sync_all().await?.is_empty(), "bob of the other app was given a message");
    ensure!(other_rest.history("bob", &twin_token, "alice").await?.is_empty(), "and its history");
    Ok(())
}
