//! Tokens that are taken back, and the sockets that live from them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bulkhead_chassis::SystemClock;
use bulkhead_model::Clock;
use bulkhead_testkit::{App, Composition, TestRegion};
use bulkhead_token::{build_chat_app_token, build_chat_user_token};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::rest::Rest;
use crate::socket::Socket;

/// How long a socket may outlive its token.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

#[test]
fn the_sockets_of_a_revoked_token_user_and_app_are_closed_within_a_second_and_no_others() {
    crate::in_both_compositions(&["others/tokens"], revocations);
}

#[test]
fn sockets_end_with_their_certificate_and_with_the_no_certificate_mode() {
    crate::in_composition(Composition::Roles, &[], certificates);
}

#[test]
fn a_newer_token_closes_the_sockets_of_the_older_ones_where_a_user_holds_one() {
    crate::in_composition(Composition::Roles, &[], one_token);
}

pub(crate) async fn revocations(mut region: TestRegion) -> Result<()> {
    let (app, other) = (region.app().clone(), region.apps()[1].clone());
    let rest = Rest::new(&region, &app);
    let app_token = rest.app_token(&app).await?;
    let signed = [0, 1].map(|salt| token(&app, &app.app_certificate, "alice", 0, salt + 1));
    let opaque = rest.user_token(&app, "alice").await?;
    let bobs = rest.user_token(&app, "bob").await?;
    let elsewhere = Rest::new(&region, &other);
    let elsewhere_token = elsewhere.any_user_token(&elsewhere.app_token(&other).await?, "alice").await?;

    let mut a = Socket::login(&region, &app, "alice", &signed[0], "web_a").await?;
    let mut b = Socket::login(&region, &app, "alice", &signed[1], "web_b").await?;
    let mut c = Socket::login(&region, &app, "alice", &opaque, "web_c").await?;
    let mut bob = Socket::login(&region, &app, "bob", &bobs, "web_a").await?;
    let mut stranger = Socket::login(&region, &other, "alice", &elsewhere_token, "web_a").await?;

    // One token, by itself and by its hash.
    rest.ok("POST", "/security/tokens/revoke", &app_token, &json!({"token": signed[0]})).await?;
    closes(&mut a).await?;
    let hash = hex::encode(Sha256::digest(&opaque));
    rest.ok("POST", "/security/tokens/revoke", &app_token, &json!({"token_sha256": hash})).await?;
    closes(&mut c).await?;
    for socket in [&mut b, &mut bob, &mut stranger] {
        socket.unread().await?;
    }
    for ended in [&signed[0], &opaque] {
        ensure!(rest.call("GET", "/users/alice", ended, &Value::Null).await?.status == 401, "over REST");
        ensure!(Socket::login(&region, &app, "alice", ended, "web_d").await.is_err(), "on a socket");
    }

    // It holds after everything was killed.
    region.kill()?;
    region.start_again()?;
    for ended in [&signed[0], &opaque] {
        ensure!(rest.call("GET", "/users/alice", ended, &Value::Null).await?.status == 401, "after a start");
        ensure!(Socket::login(&region, &app, "alice", ended, "web_a").await.is_err(), "after a start");
    }
    let mut b = Socket::login(&region, &app, "alice", &signed[1], "web_b").await?;
    let mut bob = Socket::login(&region, &app, "bob", &bobs, "web_a").await?;
    let mut stranger = Socket::login(&region, &other, "alice", &elsewhere_token, "web_a").await?;

    // A user's, by the operator where there is one, whom no router hears of.
    let app_name = format!("{}/{}", app.org_name, app.app_name);
    if region.admin(&["token", "revoke", "--app", &app_name, "--user", "alice"])?.is_none() {
        rest.ok("POST", "/security/tokens/users/alice/revoke", &app_token, &Value::Null).await?;
    }
    closes(&mut b).await?;
    for socket in [&mut bob, &mut stranger] {
        socket.unread().await?;
    }
    ensure!(
        Socket::login(&region, &app, "alice", &signed[1], "web_b").await.is_err(),
        "her tokens are ended"
    );
    let later = token(&app, &app.app_certificate, "alice", 1, 3);
    Socket::login(&region, &app, "alice", &later, "web_b").await?;

    // An app's.
    rest.ok("POST", "/security/tokens/revoke-all", &app_token, &json!({})).await?;
    closes(&mut bob).await?;
    stranger.unread().await?;
    for ended in [&app_token, &bobs] {
        ensure!(rest.call("GET", "/users/bob", ended, &Value::Null).await?.status == 401, "all of the app");
    }
    region.kill()?;
    region.start_again()?;
    ensure!(rest.call("GET", "/users/bob", &bobs, &Value::Null).await?.status == 401, "after a start");
    let fresh = build_chat_app_token(&app.app_id, &app.app_certificate, now_s() + 1, 600, 1)?;
    rest.ok("GET", "/users/bob", &fresh, &Value::Null).await?;
    Socket::login(&region, &other, "alice", &elsewhere_token, "web_a").await?;
    Ok(())
}

pub(crate) async fn certificates(region: TestRegion) -> Result<()> {
    let app = region.app().clone();
    let name = format!("{}/{}", app.org_name, app.app_name);
    let admin = |arguments: &[&str]| region.admin(arguments)?.context("an operator");
    let certificate = |step: &str| admin(&["app", "certificate", step, &name]);
    let added = certificate("add")?;
    let new = added["app_certificate_secondary"].as_str().context("a secondary")?.to_owned();
    let (with_old, with_new) =
        (token(&app, &app.app_certificate, "alice", 0, 1), token(&app, &new, "alice", 0, 2));
    let mut old = Socket::login(&region, &app, "alice", &with_old, "web_a").await?;
    let mut new = Socket::login(&region, &app, "alice", &with_new, "web_b").await?;
    certificate("swap")?;
    for socket in [&mut old, &mut new] {
        socket.unread().await?;
    }
    certificate("disable")?;
    closes(&mut old).await?;
    new.unread().await?;
    ensure!(Socket::login(&region, &app, "alice", &with_old, "web_c").await.is_err(), "it is disabled");

    // The end of an overlap comes by itself.
    let last = admin(&["app", "certificate", "add", &name])?;
    let last = last["app_certificate_secondary"].as_str().context("a secondary")?.to_owned();
    let mut ending =
        Socket::login(&region, &app, "alice", &token(&app, &last, "alice", 0, 3), "web_d").await?;
    admin(&["app", "certificate", "disable", &name, "--in-s", "2"])?;
    ending.unread().await?;
    tokio::time::timeout(Duration::from_secs(2) + CLOSE_LIMIT, ends(&mut ending)).await??;
    new.unread().await?;

    admin(&["app", "no-certificate", &name, "on"])?;
    let mut without = login_soon(&region, &app, "bob").await?;
    admin(&["app", "no-certificate", &name, "off"])?;
    closes(&mut without).await?;
    new.unread().await?;
    Ok(())
}

pub(crate) async fn one_token(region: TestRegion) -> Result<()> {
    let app = region.app().clone();
    let name = format!("{}/{}", app.org_name, app.app_name);
    region.admin(&["app", "token-rules", &name, "--single", "on"])?.context("an operator")?;
    let older = token(&app, &app.app_certificate, "alice", 0, 1);
    let newer = token(&app, &app.app_certificate, "alice", 1, 2);
    let bobs = token(&app, &app.app_certificate, "bob", 0, 3);
    let mut first = Socket::login(&region, &app, "alice", &older, "web_a").await?;
    let mut bob = Socket::login(&region, &app, "bob", &bobs, "web_a").await?;
    let mut second = Socket::login(&region, &app, "alice", &newer, "web_b").await?;
    closes(&mut first).await?;
    for socket in [&mut second, &mut bob] {
        socket.unread().await?;
    }
    ensure!(Socket::login(&region, &app, "alice", &older, "web_c").await.is_err(), "the older one is ended");
    Ok(())
}

/// An AccessToken2 of ten minutes that was issued so many seconds from now.
fn token(app: &App, certificate: &str, user: &str, in_s: u32, salt: u32) -> String {
    build_chat_user_token(&app.app_id, certificate, user, now_s() + in_s, 600, salt)
        .expect("two keys of 32 digits")
}

fn now_s() -> u32 {
    (SystemClock.now_ms() / 1000) as u32
}

/// A login without a token, as soon as the app lets it in.
async fn login_soon(region: &TestRegion, app: &App, user: &str) -> Result<Socket> {
    let began = Instant::now();
    loop {
        match Socket::login(region, app, user, "", "web_n").await {
            Err(error) if began.elapsed() > CLOSE_LIMIT => return Err(error),
            Err(_) => tokio::task::yield_now().await,
            Ok(socket) => return Ok(socket),
        }
    }
}

/// Waits for the end of a socket, at most as long as it may take from now on.
async fn closes(socket: &mut Socket) -> Result<()> {
    tokio::time::timeout(CLOSE_LIMIT, ends(socket))
        .await
        .context("the socket is still open after a second")?
}

async fn ends(socket: &mut Socket) -> Result<()> {
    while socket.next_or_end().await?.is_some() {}
    Ok(())
}
