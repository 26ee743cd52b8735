//! Several routers, called as a gateway calls them: as one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bulkhead_api::{DeliverySink, RouterApi};
use bulkhead_model::ErrorKind;
use bulkhead_proto::router::{GatewayEvent, OpenSessionRequest, PublishRequest, SlotsRequest};
use bulkhead_router::{RouterService, RouterSettings};
use bulkhead_routers::Routers;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::bed::{Bed, Events, Sink, attach};
use crate::switches::Writes;

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Routers by their address.
#[derive(Clone, Default)]
struct Network(Arc<Mutex<HashMap<String, Arc<RouterService>>>>);

impl Network {
    /// Makes a router reachable; answers its address.
    async fn add(&self, router: &Arc<RouterService>) -> String {
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let known = self.0.lock().keys().cloned().collect::<Vec<_>>();
                let map = router.slots(SlotsRequest {}).await.unwrap_or_default();
                if let Some(new) = map.routers.iter().find(|address| !known.contains(&address.url)) {
                    return new.url.clone();
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let url = waited.await.expect("the router knows of itself");
        self.0.lock().insert(url.clone(), router.clone());
        url
    }

    fn routers(&self, seed: &str) -> Routers {
        let network = self.clone();
        let dial = move |url: &str| -> bulkhead_model::Result<Arc<dyn RouterApi>> {
            let router = network.0.lock().get(url).cloned();
            Ok(router.ok_or_else(|| ErrorKind::Unavailable.with("no router there"))?)
        };
        Routers::new(&[seed.to_owned()], Box::new(dial), Duration::from_millis(100)).unwrap()
    }
}

fn numbered(bed: &Bed, to: &str, client_id: u64) -> PublishRequest {
    PublishRequest { from_device: "web_1".into(), client_id, ..bed.text("alice", to, "x") }
}

fn settings() -> RouterSettings {
    RouterSettings { lease_ms: 400, ..RouterSettings::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_notices_nothing_of_routers_that_come_and_go() {
    let bed = Arc::new(Bed::start_beside(settings()).await);
    let network = Network::default();
    let seed = network.add(&bed.router).await;
    let routers = Arc::new(network.routers(&seed));
    let senders = [("bob", 1000), ("carol", 2000), ("dave", 3000)].map(|(to, first)| {
        let (bed, routers) = (bed.clone(), routers.clone());
        tokio::spawn(async move {
            let mut ids = Vec::new();
            for client_id in first..first + 500 {
                // Three at a time, as a client that does not wait for each answer.
                let pending = [0, 1000, 2000]
                    .map(|step| routers.publish(numbered(&bed, to, client_id * 10_000 + step)));
                for pending in pending {
                    let sent =
                        tokio::time::timeout(PATIENCE, pending.wait()).await.expect("in time").unwrap();
                    ids.push(sent.id);
                }
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
            (to, ids)
        })
    });
    let (second, second_store) = bed.another_router().await;
    network.add(&second).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    let (third, _) = bed.another_router().await;
    network.add(&third).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    // One leaves in order, another one falls silent.
    third.drain().await;
    second_store.set(Writes::Refuse);
    for sender in senders {
        let (to, ids) = sender.await.unwrap();
        assert!(ids.is_sorted_by(|one, next| one < next), "in the order in which they were sent");
        let mut history = bed.history_all(bed.history("alice", to, 50)).await;
        history.reverse();
        assert_eq!(history, ids);
    }
}

/// Two routers that both own slots, and what the second's gateway gets.
pub(crate) async fn two(bed: &Bed) -> (Arc<RouterService>, Events) {
    let (second, _) = bed.another_router().await;
    let settled = tokio::time::timeout(PATIENCE, async {
        loop {
            let map = second.slots(SlotsRequest {}).await.unwrap_or_default();
            if [0, 1].iter().all(|place| map.owners.iter().filter(|owner| *owner == place).count() == 32) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    settled.await.expect("both have their share");
    let events = attach(&second, "gateway").await;
    (second, events)
}

/// Publishes at whichever of the two owns the channel.
async fn publish(routers: [&Arc<RouterService>; 2], request: PublishRequest) -> u64 {
    for router in routers {
        match router.publish(request.clone()).wait().await {
            Ok(published) => return published.id,
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotOwner),
        }
    }
    panic!("nobody owns it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_reaches_sessions_at_other_routers_once_and_in_order() {
    let bed = Bed::start_beside(settings()).await;
    let (second, events) = two(&bed).await;
    second.open_session(bed.login("bob", "web_2")).await.unwrap();
    bed.open("alice", "web_1").await;
    let mut sent = Vec::new();
    for number in 0..50 {
        let from = ["alice", "carol", "dave"][number % 3];
        sent.push(publish([&bed.router, &second], bed.text(from, "bob", "x")).await);
    }
    let mut got = Vec::new();
    for _ in 0..sent.len() {
        got.push(events.delivery().await.id);
    }
    for one_in_three in 0..3 {
        let of_one = |ids: &[u64]| {
            let wanted: Vec<u64> = sent.iter().skip(one_in_three).step_by(3).copied().collect();
            ids.iter().filter(|id| wanted.contains(id)).copied().collect::<Vec<_>>()
        };
        assert_eq!(of_one(&got), of_one(&sent), "each channel in its order, each message once");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_comes_back_at_another_router_ends_its_old_session() {
    let bed = Bed::start_beside(settings()).await;
    let (second, _events) = two(&bed).await;
    bed.open("bob", "web_2").await;
    bed.clock.advance_ms(5);
    let again = OpenSessionRequest { session: 99, ..bed.login("bob", "web_2") };
    second.open_session(again).await.unwrap();
    let kick = bed.events.kick().await;
    assert_eq!((kick.user.as_str(), kick.device.as_str()), ("bob", "web_2"));
    assert!(bed.router.devices(bed.user("bob")).await.unwrap().devices.is_empty());
    assert_eq!(second.devices(bed.user("bob")).await.unwrap().devices.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_are_at_one_router_and_cursors_at_the_owner() {
    let bed = Bed::start_beside(settings()).await;
    let network = Network::default();
    let seed = network.add(&bed.router).await;
    let (second, _) = bed.another_router().await;
    network.add(&second).await;
    let routers = network.routers(&seed);
    let (sender, _events) = tokio::sync::mpsc::unbounded_channel();
    routers.attach("gateway-9", Arc::new(Sink(sender))).await.unwrap();
    let login = OpenSessionRequest { gateway: "gateway-9".into(), ..bed.login("bob", "web_2") };
    routers.open_session(login).await.unwrap();
    assert_eq!(routers.devices(bed.user("bob")).await.unwrap().devices.len(), 1);
    for from in ["alice", "carol", "dave"] {
        let sent = routers.publish(bed.text(from, "bob", "x")).wait().await.unwrap();
        let positions =
            vec![bulkhead_proto::router::QueuePosition { queue: Some(crate::bed::queue(from)), id: sent.id }];
        let session = Some(bed.session("bob", "web_2"));
        routers.confirm(bulkhead_proto::router::ConfirmRequest { session, positions }).await.unwrap();
    }
    let emptied = tokio::time::timeout(PATIENCE, async {
        while routers.offline_count(bed.user("bob")).await.unwrap().messages > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    emptied.await.expect("the owners write what was proven");
}

/// What a gateway's tie to its router is told.
#[derive(Default)]
struct Tie(Notify);

impl DeliverySink for Tie {
    fn deliver(&self, _: Vec<GatewayEvent>) {}

    fn detached(&self) {
        self.0.notify_one();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_that_joins_gets_its_share_of_the_gateways() {
    const GATEWAYS: usize = 24;
    let bed = Bed::start_beside(settings()).await;
    let network = Network::default();
    let seed = network.add(&bed.router).await;
    let mut gateways = Vec::new();
    for number in 0..GATEWAYS {
        let (name, tie, routers) =
            (format!("gateway-{number}"), Arc::new(Tie::default()), network.routers(&seed));
        routers.attach(&name, tie.clone()).await.unwrap();
        gateways.push((name, tie, routers));
    }
    let (second, _) = bed.another_router().await;
    network.add(&second).await;
    // Each has even chances; that none has its place with the new one is out of the question.
    let moved = gateways.iter().map(|(name, tie, routers)| {
        Box::pin(async move {
            tie.0.notified().await;
            (name, tie, routers)
        })
    });
    let first = futures_util::future::select_all(moved);
    let ((name, tie, routers), _, _) = tokio::time::timeout(PATIENCE, first).await.expect("one moves");
    routers.attach(name, tie.clone()).await.unwrap();
    let login = OpenSessionRequest { gateway: name.clone(), ..bed.login("bob", "web_1") };
    routers.open_session(login).await.unwrap();
    assert_eq!(second.devices(bed.user("bob")).await.unwrap().devices.len(), 1);
    let again = tokio::time::timeout(Duration::from_millis(500), tie.0.notified()).await;
    assert!(again.is_err(), "it stays where its place is");
}
