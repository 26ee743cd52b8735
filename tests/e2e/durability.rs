//! Guarantees 1 and 4: what was acknowledged is there after everything was killed, once.

use std::collections::HashMap;

use anyhow::{Result, ensure};
use bulkhead_testkit::{Composition, TestRegion};

use crate::rest::Rest;
use crate::socket::{Ack, Socket, text_of};

/// How many messages are acknowledged before the region is killed in the middle of the burst.
const ACKNOWLEDGED: usize = 400;

#[test]
fn everything_acknowledged_before_kill_9_is_there_after_the_start_and_only_once() {
    crate::in_both_compositions(&[], burst_and_kill);
}

#[test]
fn what_was_acknowledged_on_cassandra_survives_a_kill_of_every_role() {
    crate::in_composition(Composition::RolesOnCassandra, &[], burst_and_kill);
}

pub(crate) async fn burst_and_kill(mut region: TestRegion) -> Result<()> {
    let app = region.app().clone();
    let rest = Rest::new(&region, &app);
    let alice_token = rest.user_token(&app, "alice").await?;
    let bob_token = rest.user_token(&app, "bob").await?;
    let mut alice = Socket::login(&region, &app, "alice", &alice_token, "web_a").await?;

    // The burst never waits, so that the kill finds messages in every stage of their way.
    let mut acknowledged: HashMap<u64, String> = HashMap::new();
    let mut sent = 0u64;
    while acknowledged.len() < ACKNOWLEDGED {
        for _ in 0..64 {
            sent += 1;
            alice.send_text("bob", sent, &format!("burst {sent}")).await?;
        }
        for _ in 0..32 {
            let ack = next_ack(&mut alice).await?;
            acknowledged.insert(ack.server_id, format!("burst {}", ack.client_id));
        }
    }
    region.kill()?;
    // What the kernel still held of the server's last words counts as acknowledged too.
    while let Ok(ack) = next_ack(&mut alice).await {
        acknowledged.insert(ack.server_id, format!("burst {}", ack.client_id));
    }
    region.start_again()?;

    let mut bob = Socket::login(&region, &app, "bob", &bob_token, "web_b").await?;
    let delivered = bob.sync_all().await?;
    let mut seen: HashMap<u64, String> = HashMap::new();
    for meta in &delivered {
        ensure!(seen.insert(meta.id(), text_of(meta)).is_none(), "{} was delivered twice", meta.id());
    }
    for (id, text) in &acknowledged {
        ensure!(seen.get(id) == Some(text), "acknowledged message {id} ({text}) is lost");
    }
    let ids: Vec<u64> = delivered.iter().map(bulkhead_msync::proto::Meta::id).collect();
    ensure!(ids.is_sorted(), "the pull is not in the order of ids");
    Ok(())
}

async fn next_ack(socket: &mut Socket) -> Result<Ack> {
    let down = socket.next_sync().await?;
    let refused = down.status.as_ref().is_some_and(|status| status.error_code.unwrap_or(0) != 0);
    ensure!(down.meta_id() != 0 && !refused, "not an acknowledgement: {down:?}");
    Ok(Ack { client_id: down.meta_id(), server_id: down.server_id() })
}

#[test]
fn a_region_that_is_told_to_stop_ends_with_code_0_and_keeps_what_it_acknowledged() {
    crate::in_both_compositions(&[], stop_and_start);
}

pub(crate) async fn stop_and_start(mut region: TestRegion) -> Result<()> {
    let app = region.app().clone();
    let rest = Rest::new(&region, &app);
    let alice_token = rest.user_token(&app, "alice").await?;
    let bob_token = rest.user_token(&app, "bob").await?;
    let mut alice = Socket::login(&region, &app, "alice", &alice_token, "web_a").await?;
    alice.send_text("bob", 1, "before the stop").await?;
    let id = next_ack(&mut alice).await?.server_id;
    region.stop()?;
    ensure!(alice.next_or_end().await?.is_none(), "the socket outlived the stop");
    region.start_again()?;
    let history = rest.history("bob", &bob_token, "alice").await?;
    ensure!(history.len() == 1 && history[0].id() == id, "the message is not in the history");
    Ok(())
}
