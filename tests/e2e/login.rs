//! Who gets in and who does not, on the socket.

use anyhow::{Result, ensure};
use bulkhead_msync::proto::status::ErrorCode;
use bulkhead_testkit::TestRegion;

use crate::rest::Rest;
use crate::socket::Socket;

#[test]
fn a_socket_opens_for_a_right_token_and_tells_why_it_does_not_for_a_wrong_one() {
    crate::in_both_compositions(&[], logins);
}

pub(crate) async fn logins(region: TestRegion) -> Result<()> {
    let app = region.app().clone();
    let rest = Rest::new(&region, &app);
    let alice_token = rest.user_token(&app, "alice").await?;
    let app_token = rest.app_token(&app).await?;

    let mut socket = Socket::connect(&region, &app).await?;
    let answer = socket.provision("alice", &alice_token, "web_a").await?;
    ensure!(answer.status.clone().unwrap_or_default().error_code() == ErrorCode::Ok, "{:?}", answer.status);
    ensure!(answer.resource() == "web_a", "the device is {}", answer.resource());
    ensure!(answer.auth_token().contains("expires_in"), "no expiry: {:?}", answer.auth_token);

    let mismatch = "Sorry, token or password does not match login info";
    for (user, token, reason) in [
        ("alice", "", mismatch),
        ("alice", "nonsense", mismatch),
        ("bob", alice_token.as_str(), mismatch),
        ("alice", app_token.as_str(), mismatch),
        ("alice", "007eJxTYNAI", mismatch),
    ] {
        let mut socket = Socket::connect(&region, &app).await?;
        let status = socket.provision(user, token, "web_a").await?.status.unwrap_or_default();
        ensure!(status.error_code() == ErrorCode::Fail, "{user} {token}: {status:?}");
        ensure!(status.reason() == reason, "{user}: {status:?}");
        ensure!(socket.next_or_end().await?.is_none(), "a refused socket stayed open");
    }
    Ok(())
}
