//! Several routers share the slots: no two ever acknowledge for one, and ids stay in order across owners.

use std::sync::Arc;
use std::time::Duration;

use bulkhead_api::RouterApi;
use bulkhead_model::{AppUuid, Channel, ErrorKind, range_of, slot_of};
use bulkhead_proto::router::{PublishRequest, Published, SlotMap, SlotsRequest};
use bulkhead_router::{RouterService, RouterSettings};

use crate::bed::Bed;
use crate::switches::Writes;

const LEASE_MS: u64 = 400;

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn settings() -> RouterSettings {
    RouterSettings { lease_ms: LEASE_MS, ..RouterSettings::default() }
}

async fn map_of(router: &Arc<RouterService>) -> SlotMap {
    // None from a router that is cut off.
    router.slots(SlotsRequest {}).await.unwrap_or_default()
}

/// How many ranges each router owns, as `router` sees it; the last number counts those of nobody.
async fn shares(router: &Arc<RouterService>) -> Vec<usize> {
    let map = map_of(router).await;
    (0..=map.routers.len())
        .map(|place| map.owners.iter().filter(|owner| **owner as usize == place).count())
        .collect()
}

async fn until_shares(router: &Arc<RouterService>, wanted: &[usize]) {
    let waited = tokio::time::timeout(PATIENCE, async {
        loop {
            let mut found = shares(router).await;
            let nobody = found.pop();
            found.sort_unstable();
            if found == wanted && nobody == Some(0) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    if waited.await.is_err() {
        panic!("{:?} instead of {wanted:?}", shares(router).await);
    }
}

/// Sends like a gateway does: to whichever router takes it.
async fn send(routers: &[&Arc<RouterService>], request: PublishRequest) -> Published {
    let sending = async {
        loop {
            for router in routers {
                match router.publish(request.clone()).wait().await {
                    Ok(published) => return published,
                    Err(error) => {
                        let kind = error.kind();
                        assert!(
                            matches!(kind, ErrorKind::NotOwner | ErrorKind::Unavailable | ErrorKind::Timeout),
                            "{kind:?}"
                        );
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, sending).await.expect("a router takes it")
}

fn numbered(bed: &Bed, to: &str, client_id: u64) -> PublishRequest {
    PublishRequest { from_device: "web_1".into(), client_id, ..bed.text("alice", to, "x") }
}

/// Whether a router takes messages of alice to this user.
async fn owns(bed: &Bed, router: &Arc<RouterService>, to: &str) -> bool {
    let app = AppUuid::from_slice(&bed.app).unwrap();
    let range = range_of(slot_of(app, &Channel::direct("alice", to).key()));
    router.publish(bed.text("alice", to, "probe")).wait().await.is_ok() && range < 64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routers_share_the_slots_and_take_over_from_one_that_leaves() {
    let bed = Bed::start_beside(settings()).await;
    until_shares(&bed.router, &[64]).await;
    let (second, _) = bed.another_router().await;
    until_shares(&second, &[32, 32]).await;
    let (third, _) = bed.another_router().await;
    until_shares(&third, &[21, 21, 22]).await;
    second.drain().await;
    until_shares(&third, &[32, 32]).await;
    until_shares(&bed.router, &[32, 32]).await;
    third.drain().await;
    until_shares(&bed.router, &[64]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_doubled_or_reordered_while_routers_come_and_go() {
    let bed = Arc::new(Bed::start_beside(settings()).await);
    until_shares(&bed.router, &[64]).await;
    let (second, _) = bed.another_router().await;
    let senders = [("bob", 1000), ("carol", 2000), ("dave", 3000)].map(|(to, first)| {
        let (bed, second) = (bed.clone(), second.clone());
        tokio::spawn(async move {
            let mut ids = Vec::new();
            for client_id in first..first + 300 {
                let sent = send(&[&bed.router, &second], numbered(&bed, to, client_id)).await;
                assert!(!sent.duplicate);
                ids.push(sent.id);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            (to, ids)
        })
    });
    until_shares(&second, &[32, 32]).await;
    second.drain().await;
    for sender in senders {
        let (to, ids) = sender.await.unwrap();
        assert!(ids.is_sorted_by(|one, next| one < next), "ids rise whoever gives them");
        let mut history = bed.history_all(bed.history("alice", to, 50)).await;
        history.reverse();
        assert_eq!(history, ids, "what is acknowledged is there, once, in its order");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_that_falls_silent_is_replaced_and_acknowledges_nothing_afterwards() {
    let bed = Bed::start_beside(settings()).await;
    until_shares(&bed.router, &[64]).await;
    let before = send(&[&bed.router], numbered(&bed, "bob", 1)).await;
    let (second, _) = bed.another_router().await;
    until_shares(&second, &[32, 32]).await;
    // From here on the first router reaches the store no more.
    bed.store.set(Writes::Refuse);
    until_shares(&second, &[64]).await;
    for to in ["bob", "carol", "dave"] {
        assert!(!owns(&bed, &bed.router, to).await, "the first one acknowledges nothing");
        assert!(owns(&bed, &second, to).await, "the second one does");
    }
    let after = send(&[&bed.router, &second], numbered(&bed, "bob", 2)).await;
    assert!(after.id > before.id);
    let again = send(&[&second], numbered(&bed, "bob", 1)).await;
    assert_eq!((again.id, again.duplicate), (before.id, true), "what the first one answered is known");
    // It comes back as a router like any other.
    bed.store.set(Writes::Apply);
    until_shares(&second, &[32, 32]).await;
    let last = send(&[&bed.router, &second], numbered(&bed, "bob", 3)).await;
    assert!(last.id > after.id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_outlasts_the_lease_is_not_acknowledged() {
    let bed = Bed::start_beside(settings()).await;
    until_shares(&bed.router, &[64]).await;
    let pending = bed.publish(numbered(&bed, "bob", 1));
    pending.wait().await.unwrap();
    bed.store.set(Writes::Hold);
    let held = bed.publish(numbered(&bed, "bob", 2));
    let over = tokio::time::timeout(PATIENCE, async {
        while bed.router.slots(SlotsRequest {}).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    over.await.expect("the lease cannot be renewed and ends");
    // The write succeeds now, too late.
    bed.store.set(Writes::Apply);
    let refused = tokio::time::timeout(PATIENCE, held.wait()).await.unwrap().unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::Timeout | ErrorKind::Unavailable | ErrorKind::NotOwner));
    until_shares(&bed.router, &[64]).await;
    send(&[&bed.router], numbered(&bed, "bob", 2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cursors_move_along_with_their_slots() {
    let bed = Bed::start_beside(settings()).await;
    until_shares(&bed.router, &[64]).await;
    bed.open("bob", "web_2").await;
    let sent = send(&[&bed.router], numbered(&bed, "bob", 1)).await;
    bed.confirm("bob", "web_2", "alice", sent.id).await;
    let (second, _) = bed.another_router().await;
    until_shares(&second, &[32, 32]).await;
    bed.router.drain().await;
    until_shares(&second, &[64]).await;
    assert_eq!(second.offline_count(bed.user("bob")).await.unwrap().messages, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_arrives_after_the_next_owner_has_begun_does_not_land() {
    let bed = Bed::start_beside(settings()).await;
    until_shares(&bed.router, &[64]).await;
    send(&[&bed.router], numbered(&bed, "bob", 1)).await;
    // The router stands still with a write on its way.
    bed.store.set(Writes::Hold);
    let held = bed.publish(numbered(&bed, "bob", 2));
    let left = tokio::time::timeout(PATIENCE, async {
        while bed.store.under_way() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    left.await.expect("the write has left the router");
    let (second, _) = bed.another_router().await;
    until_shares(&second, &[64]).await;
    // As much time as has passed: the lease is over.
    bed.clock.advance_ms(LEASE_MS);
    let resent = send(&[&second], numbered(&bed, "bob", 2)).await;
    assert!(!resent.duplicate, "nobody has stored it before");

    bed.store.set(Writes::Apply);
    let arrived = tokio::time::timeout(PATIENCE, async {
        while bed.store.under_way() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    arrived.await.expect("the write arrives");
    assert!(held.wait().await.is_err());
    let all = second.history(bed.history("alice", "bob", 50)).await.unwrap().messages.len();
    assert_eq!(all, 2, "each message is stored once");
}
