//! Nodes of a Redis Cluster that die, and slots that move.

use bulkhead_bus::{BusEvent, Topic};
use bulkhead_bus_redis::Layout;
use bulkhead_testkit::{RedisCluster, RedisOptions, RedisServer};

use crate::support::{APP, Member, frame, settings, topic_at, until};

fn start() -> RedisCluster {
    RedisCluster::start(3, &RedisOptions::default()).expect("the cluster starts")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_killed_comes_back_with_a_gap_and_the_others_are_not_felt() {
    let mut cluster = start();
    let seeds = vec![cluster.nodes[1].url()];
    let mut member = Member::start(settings(Layout::Cluster, seeds.clone())).await;
    let publisher = Member::start(settings(Layout::Cluster, seeds)).await;
    let dying = topic_at(&member.bus, &cluster.nodes[0].url());
    let healthy = topic_at(&member.bus, &cluster.nodes[1].url());
    member.subscribe(&dying).await;
    member.subscribe(&healthy).await;

    cluster.nodes[0].kill().unwrap();
    for n in 0..50 {
        publisher.publish(&dying, "lost").await;
        publisher.publish(&healthy, &n.to_string()).await;
        member.expect(&healthy, &n.to_string()).await;
    }
    cluster.nodes[0].restart().unwrap();
    cluster.wait_until_all_agree().unwrap();
    member.gap_of(&dying, |other| panic!("{other:?} came instead of the gap")).await;
    publisher.whole().await;
    publisher.publish(&dying, "live").await;
    loop {
        match member.event().await {
            BusEvent::Frame(live) => break assert_eq!(live, frame(&dying, "live")),
            BusEvent::Gap { slots } => assert!(!slots.contains(healthy.slot()), "the others lost nothing"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_follow_a_slot_to_another_node() {
    let cluster = start();
    let seeds = vec![cluster.nodes[2].url()];
    let mut member = Member::start(settings(Layout::Cluster, seeds.clone())).await;
    let publisher = Member::start(settings(Layout::Cluster, seeds)).await;
    let (from, to) = (&cluster.nodes[0], &cluster.nodes[1]);
    let topic = (0..)
        .map(|n| Topic::user(APP, &format!("moves{n}")))
        .find(|topic| {
            // A slot without keys: the node's mark lies in its lowest.
            member.bus.shard_of(topic) == from.url() && keys_of(from, topic) == "0"
        })
        .unwrap();
    let stays = topic_at(&member.bus, &cluster.nodes[2].url());
    member.subscribe(&topic).await;
    member.subscribe(&stays).await;

    let slot = cluster_slot_of(from, &topic);
    let target = to.cli(&["CLUSTER", "MYID"]).unwrap();
    for node in [to, from, &cluster.nodes[2]] {
        node.cli(&["CLUSTER", "SETSLOT", &slot, "NODE", &target]).unwrap();
    }
    member.gap_of(&topic, |other| panic!("{other:?} came instead of the gap")).await;
    until("both have followed", || {
        [&member, &publisher].iter().all(|one| one.bus.shard_of(&topic) == to.url())
    })
    .await;
    member.whole().await;
    publisher.whole().await;
    // What counts is that frames arrive, at the new place and at the others; gaps of the move may still come.
    for topic in [&topic, &stays] {
        publisher.publish(topic, "live").await;
        loop {
            match member.event().await {
                BusEvent::Frame(live) if live == frame(topic, "live") => break,
                BusEvent::Frame(_) => {}
                BusEvent::Gap { .. } => publisher.publish(topic, "live").await,
            }
        }
    }
}

fn cluster_slot_of(node: &RedisServer, topic: &Topic) -> String {
    node.cli(&["CLUSTER", "KEYSLOT", &format!("bh:{{{}}}", topic.slot())]).unwrap()
}

fn keys_of(node: &RedisServer, topic: &Topic) -> String {
    node.cli(&["CLUSTER", "COUNTKEYSINSLOT", &cluster_slot_of(node, topic)]).unwrap()
}
