//! Guarantee 2: one channel has one order, the same live, pulled and in the history, for both users.

use anyhow::{Result, ensure};
use bulkhead_msync::proto::Meta;
use bulkhead_testkit::TestRegion;

use crate::rest::Rest;
use crate::socket::Socket;

/// Devices of each user that send at the same time.
const DEVICES: u64 = 3;
/// Messages that each of them sends.
const MESSAGES: u64 = 60;
/// Ids that a client remembers to tell what it has had.
const REMEMBERED: usize = 100;

#[test]
fn concurrent_senders_of_one_channel_are_seen_in_one_order_by_everybody() {
    crate::in_both_compositions(&[], one_order);
}

pub(crate) async fn one_order(region: TestRegion) -> Result<()> {
    let app = region.app().clone();
    let rest = Rest::new(&region, &app);
    let alice_token = rest.user_token(&app, "alice").await?;
    let bob_token = rest.user_token(&app, "bob").await?;
    let total = (2 * DEVICES * MESSAGES) as usize;

    let mut alice_listens = Socket::login(&region, &app, "alice", &alice_token, "web_listen").await?;
    let mut bob_listens = Socket::login(&region, &app, "bob", &bob_token, "web_listen").await?;

    let mut senders = tokio::task::JoinSet::new();
    for device in 0..DEVICES {
        for (user, peer, token) in [("alice", "bob", &alice_token), ("bob", "alice", &bob_token)] {
            let device = format!("ios_{device}");
            let mut socket = Socket::login(&region, &app, user, token, &device).await?;
            senders.spawn(async move {
                for client_id in 1..=MESSAGES {
                    socket.send_text(peer, client_id, &format!("{user} {device} {client_id}")).await?;
                }
                for client_id in 1..=MESSAGES {
                    socket.ack(client_id, &mut Vec::new()).await?;
                }
                anyhow::Ok(())
            });
        }
    }
    // A listener that proves nothing in time is told to pull; either way it ends up with everything.
    let alice_saw = everything(&mut alice_listens, "bob", total).await?;
    let bob_saw = everything(&mut bob_listens, "alice", total).await?;
    while let Some(sender) = senders.join_next().await {
        sender??;
    }
    let alice_history = ids(&rest.history("alice", &alice_token, "bob").await?);
    let bob_history = ids(&rest.history("bob", &bob_token, "alice").await?);
    ensure!(alice_history.len() == total, "history has {} of {total}", alice_history.len());
    ensure!(alice_history.is_sorted(), "history is not in the order of ids");
    ensure!(alice_history == bob_history, "the two histories differ");
    ensure!(alice_saw == alice_history, "alice saw another order than the history");
    ensure!(bob_saw == bob_history, "bob saw another order than the history");
    Ok(())
}

/// Takes pushes and follows notices until `total` messages are there. Like the SDK, it leaves out a message whose id is
/// among the last hundred (msync.md §3): what was pushed and not proven yet is pulled again.
async fn everything(socket: &mut Socket, peer: &str, total: usize) -> Result<Vec<u64>> {
    use bulkhead_msync::proto::m_sync::Command;
    use prost::Message;
    let mut seen: Vec<u64> = Vec::new();
    while seen.len() < total {
        let frame = socket.next().await?;
        let came = match frame.command() {
            Command::Sync => ids(&bulkhead_msync::proto::CommSyncDl::decode(frame.payload())?.metas),
            Command::Notice => ids(&socket.pull_all(peer).await?),
            _ => continue,
        };
        for id in came {
            if !seen[seen.len().saturating_sub(REMEMBERED)..].contains(&id) {
                seen.push(id);
            }
        }
    }
    Ok(seen)
}

fn ids(metas: &[Meta]) -> Vec<u64> {
    metas.iter().map(Meta::id).collect()
}
