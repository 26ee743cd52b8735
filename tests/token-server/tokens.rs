//! What tokens and names are good for.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use bulkhead_chassis::{OsEntropy, SystemClock};
use bulkhead_client::{
    ClientError, Connection, Credential, Login, NewUser, Options, RegionAddress, Rest, Trust,
};
use bulkhead_model::Clock;
use bulkhead_testkit::{Composition, TestRegion};
use serde_json::json;

use crate::server::{TokenServer, text};
use crate::wire::Request;

/// Logs in as a real client does.
pub(crate) async fn log_in(region: &TestRegion, username: &str, token: &str) -> Result<(), ClientError> {
    let address = RegionAddress::new(&region.rest_url(), &Trust::System)?;
    let login = Login {
        app: region.app().app_key.parse().expect("the region's own AppKey"),
        user: username.to_owned(),
        credential: Credential::Token(token.to_owned()),
        device: None,
    };
    let connection =
        Connection::open(address, login, Options::default(), &SystemClock, Arc::new(OsEntropy)).await;
    connection.map(drop)
}

/// The REST API of the region's first app.
pub(crate) fn rest(region: &TestRegion) -> Result<Rest> {
    let address = RegionAddress::new(&region.rest_url(), &Trust::System)?;
    Ok(Rest::new(&address, &region.app().app_key.parse()?)?)
}

#[test]
fn a_token_logs_its_user_in_and_nobody_else() {
    crate::in_both_compositions(|region| async move {
        let server = TokenServer::start(&region).await?;
        let alice = server.token_of("alice@shop.example").await?;
        let bob = server.token_of("bob@shop.example").await?;
        ensure!(alice.username != bob.username, "two users have one name");
        log_in(&region, &alice.username, &alice.token).await?;
        let stolen = log_in(&region, &bob.username, &alice.token).await;
        ensure!(matches!(stolen, Err(ClientError::Refused { .. })), "another user's token was taken");
        Ok(())
    });
}

#[test]
fn a_user_keeps_the_name_over_restarts_and_crashes_and_it_tells_nothing() {
    crate::in_composition(Composition::OneProcess, |region| async move {
        let mut server = TokenServer::start(&region).await?;
        let first = server.token_of("customer-17").await?.username;
        ensure!(first.len() == 26 && first.starts_with('u') && !first.contains("17"), "{first}");
        server.stop()?;
        server.start_again().await?;
        ensure!(server.token_of("customer-17").await?.username == first, "a restart changed the name");
        let second = server.token_of("customer-18").await?.username;
        server.kill()?;
        server.start_again().await?;
        for (user, username) in [("customer-17", &first), ("customer-18", &second)] {
            ensure!(server.token_of(user).await?.username == *username, "a crash changed the name");
        }
        // Another map gives other names, so they do not come from the id.
        let other = TokenServer::start(&region).await?;
        ensure!(other.token_of("customer-17").await?.username != first, "the name can be computed");
        Ok(())
    });
}

#[test]
fn many_first_requests_for_one_user_give_one_name() {
    crate::in_composition(Composition::OneProcess, |region| async move {
        let server = Arc::new(TokenServer::start(&region).await?);
        for round in 0..5 {
            let asked = (0..24).map(|_| {
                let server = server.clone();
                tokio::spawn(async move { server.token_of(&format!("user {round}")).await })
            });
            let mut names = BTreeSet::new();
            for answer in asked.collect::<Vec<_>>() {
                names.insert(answer.await??.username);
            }
            ensure!(names.len() == 1, "{names:?}");
        }
        Ok(())
    });
}

#[test]
fn a_name_leads_back_to_its_user_until_the_user_is_forgotten() {
    crate::in_composition(Composition::OneProcess, |region| async move {
        let server = TokenServer::start(&region).await?;
        let user = "group/42 ü?";
        let first = server.token_of(user).await?.username;
        let find = |name: String| {
            let request = Request::get(&format!("/v1/users/by-username/{name}"));
            let door = server.door.clone();
            async move { request.send(&door).await }
        };
        let found = find(first.clone()).await?.ok()?;
        ensure!(found["user"] == user && found["username"] == first.as_str(), "{found}");
        ensure!(found["created_at"].as_u64() > Some(1_700_000_000), "{found}");

        let forget = Request::new("DELETE", "/v1/users/group%2F42%20%C3%BC%3F");
        ensure!(forget.send(&server.door).await?.ok()? == json!({ "username": first }), "not the same user");
        forget.send(&server.door).await?.refused(404, "user_not_found")?;
        find(first.clone()).await?.refused(404, "user_not_found")?;
        find("alice".to_owned()).await?.refused(404, "user_not_found")?;

        let second = server.token_of(user).await?.username;
        ensure!(second != first, "the name came back");
        find(second).await?.ok()?;
        Ok(())
    });
}

#[test]
fn a_token_lives_as_long_as_was_asked_within_the_bounds() {
    crate::in_composition(Composition::OneProcess, |region| async move {
        let more = "token_life_s = 7200\ntoken_life_s_min = 100\ntoken_life_s_max = 7200";
        let server = TokenServer::start_with(&region, more).await?;
        let ask = |ttl_s: u64| {
            let request = Request::post("/v1/tokens/user", &json!({ "user": "a", "ttl_s": ttl_s }));
            let door = server.door.clone();
            async move { request.send(&door).await }
        };
        let now_s = || SystemClock.now_ms() / 1000;
        let before_s = now_s();
        let expires_at = server.token_of("a").await?.expires_at;
        ensure!((before_s + 7200..=now_s() + 7200).contains(&expires_at), "{expires_at}");
        for ttl_s in [100, 7200] {
            let before_s = now_s();
            let expires_at = ask(ttl_s).await?.ok()?["expires_at"].as_u64().context("no expiry")?;
            ensure!((before_s + ttl_s..=now_s() + ttl_s).contains(&expires_at), "{ttl_s}: {expires_at}");
        }
        for ttl_s in [0, 99, 7201, 1 << 40] {
            ask(ttl_s).await?.refused(400, "invalid_request")?;
        }
        Ok(())
    });
}

#[test]
fn a_token_of_the_app_acts_for_it_and_is_the_same_for_a_while() {
    crate::in_both_compositions(|region| async move {
        let server = TokenServer::start(&region).await?;
        let ask = Request::new("POST", "/v1/tokens/app");
        let first = ask.send(&server.door).await?.ok()?;
        ensure!(ask.send(&server.door).await?.ok()? == first, "a new token for every call");
        let user = NewUser { username: "by-the-back-end".to_owned(), password: None };
        let registered = rest(&region)?.register(&text(&first, "token")?, &[user]).await?;
        ensure!(registered.usernames == ["by-the-back-end"], "{registered:?}");
        Ok(())
    });
}
