//! What happens while the region is away.

use anyhow::ensure;
use bulkhead_testkit::Composition;
use serde_json::json;

use crate::server::TokenServer;
use crate::tokens::log_in;
use crate::wire::Request;

#[test]
fn without_the_region_known_users_are_served_new_ones_wait_and_nothing_is_lost() {
    crate::in_composition(Composition::OneProcess, |mut region| async move {
        let mut server = TokenServer::start(&region).await?;
        let known = server.token_of("known").await?.username;
        region.kill()?;
        ensure!(server.token_of("known").await?.username == known, "another name");
        Request::new("POST", "/v1/tokens/app").send(&server.door).await?.ok()?;
        for _ in 0..2 {
            let refused = server.ask_for("new").await?;
            refused.refused(503, "unavailable")?;
            ensure!(refused.header("retry-after").is_some(), "{:?}", refused.headers);
        }
        server.kill()?;
        server.start_again().await?;
        ensure!(server.token_of("known").await?.username == known, "a crash lost a user");
        region.start_again()?;
        let new = server.token_of("new").await?;
        log_in(&region, &new.username, &new.token).await?;
        ensure!(server.token_of("new").await?.username == new.username, "another name");
        Ok(())
    });
}

#[test]
fn a_region_that_does_not_know_the_certificate_makes_no_user_and_the_log_says_so() {
    crate::in_composition(Composition::OneProcess, |region| async move {
        let server = TokenServer::start(&region).await?;
        let mut other = TokenServer::start(&region).await?;
        crate::server::write_secret(&other.folder().join("primary"), &"ab".repeat(16))?;
        other.kill()?;
        other.start_again().await?;
        let new = json!({ "user": "new" });
        let refused = Request::post("/v1/tokens/user", &new).send(&other.door).await?;
        refused.refused(503, "unavailable")?;
        ensure!(other.log().contains("accepts no token that the app certificates sign"), "{}", other.log());
        server.token_of("new").await?;
        Ok(())
    });
}
