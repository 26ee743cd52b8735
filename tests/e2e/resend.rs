//! Guarantee 3: a resend with the same client id is acknowledged with the same server id and never delivered twice.

use anyhow::{Result, ensure};
use bulkhead_testkit::TestRegion;

use crate::rest::Rest;
use crate::socket::Socket;

#[test]
fn a_resend_gets_the_same_server_id_at_once_on_a_new_socket_and_after_a_crash() {
    crate::in_both_compositions(&[], resend);
}

pub(crate) async fn resend(mut region: TestRegion) -> Result<()> {
    let app = region.app().clone();
    let rest = Rest::new(&region, &app);
    let alice_token = rest.user_token(&app, "alice").await?;
    let bob_token = rest.user_token(&app, "bob").await?;
    let others = &mut Vec::new();

    let mut alice = Socket::login(&region, &app, "alice", &alice_token, "web_a").await?;
    // Twice in a row, so that the second comes while the first is still on its way to the disk.
    alice.send_text("bob", 7, "once").await?;
    alice.send_text("bob", 7, "once").await?;
    let first = alice.ack(7, others).await?.server_id();
    ensure!(alice.ack(7, others).await?.server_id() == first, "the resend in flight got another id");

    drop(alice);
    let mut alice = Socket::login(&region, &app, "alice", &alice_token, "web_a").await?;
    alice.send_text("bob", 7, "once").await?;
    ensure!(alice.ack(7, others).await?.server_id() == first, "the resend on a new socket got another id");

    region.kill()?;
    region.start_again()?;
    let mut alice = Socket::login(&region, &app, "alice", &alice_token, "web_a").await?;
    alice.send_text("bob", 7, "once").await?;
    ensure!(alice.ack(7, others).await?.server_id() == first, "the resend after the crash got another id");

    // The same client id of another device is another message.
    let mut other = Socket::login(&region, &app, "alice", &alice_token, "ios_a").await?;
    other.send_text("bob", 7, "twice").await?;
    let second = other.ack(7, others).await?.server_id();
    ensure!(second > first, "another device shares the client id");

    let mut bob = Socket::login(&region, &app, "bob", &bob_token, "web_b").await?;
    let delivered: Vec<u64> = bob.sync_all().await?.iter().map(bulkhead_msync::proto::Meta::id).collect();
    ensure!(delivered == [first, second], "bob got {delivered:?}");
    Ok(())
}
