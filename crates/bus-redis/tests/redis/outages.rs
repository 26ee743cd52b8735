//! Shards that die, hang and come back.

use std::time::{Duration, Instant};

use bulkhead_bus::{BusEvent, Registry, RegistryPut, Topic};
use bulkhead_bus_redis::Layout;
use bulkhead_model::ErrorKind;
use bytes::Bytes;

use crate::support::{APP, Member, frame, servers, settings, topic_at, until, urls};

/// What a call may take that must not wait for a shard.
const AT_ONCE: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_that_was_killed_comes_back_with_a_gap_and_the_other_is_not_felt() {
    let mut servers = servers(2);
    let mut member = Member::start(settings(Layout::Primaries, urls(&servers))).await;
    let publisher = Member::start(settings(Layout::Primaries, urls(&servers))).await;
    let dying = topic_at(&member.bus, &servers[0].url());
    let healthy = topic_at(&member.bus, &servers[1].url());
    member.subscribe(&dying).await;
    member.subscribe(&healthy).await;

    servers[0].kill().unwrap();
    // A topic of the dead shard, and more than its queue may hold: nobody waits.
    let late = Topic::user(APP, &dying.parts().unwrap().key.repeat(2));
    let late_is_there_too = member.bus.shard_of(&late) == servers[0].url();
    let start = Instant::now();
    member.subscribe(&late).await;
    for n in 0..100 {
        publisher.publish(&dying, "lost").await;
        publisher.publish(&healthy, &n.to_string()).await;
        member.expect(&healthy, &n.to_string()).await;
    }
    assert!(start.elapsed() < Duration::from_secs(5), "the healthy shard was slow: {:?}", start.elapsed());

    servers[0].restart().unwrap();
    member.gap_of(&dying, |other| panic!("{other:?} came instead of the gap")).await;
    publisher.whole().await;
    publisher.publish(&dying, "live").await;
    publisher.publish(&late, "live too").await;
    let mut live = Vec::new();
    while live.len() < 2 {
        match member.event().await {
            BusEvent::Frame(frame) => live.push(frame),
            // The publisher tells what it has dropped, too.
            BusEvent::Gap { slots } => {
                assert!(!slots.contains(healthy.slot()), "the other shard lost nothing")
            }
        }
    }
    let expected = [frame(&dying, "live"), frame(&late, "live too")];
    assert!(expected.iter().all(|frame| live.contains(frame)), "{live:?} (same shard: {late_is_there_too})");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_a_shard_that_hangs() {
    let servers = servers(2);
    let mut member = Member::start(settings(Layout::Primaries, urls(&servers))).await;
    let hanging = topic_at(&member.bus, &servers[0].url());
    let healthy = topic_at(&member.bus, &servers[1].url());
    member.subscribe(&hanging).await;
    member.subscribe(&healthy).await;

    servers[0].pause().unwrap();
    for n in 0..50 {
        let start = Instant::now();
        member.publish(&hanging, "lost or late").await;
        member.publish(&healthy, &n.to_string()).await;
        assert!(start.elapsed() < AT_ONCE, "publishing waited for a shard");
        member.expect(&healthy, &n.to_string()).await;
    }
    let entry = RegistryPut { key: hanging.clone(), field: Bytes::from("f"), value: Bytes::new() };
    let refused = member.bus.registry().put(vec![entry], 1000).await.unwrap_err();
    assert!(matches!(refused.kind(), ErrorKind::Timeout | ErrorKind::Unavailable), "{refused}");

    servers[0].resume().unwrap();
    member.gap_of(&hanging, |_| {}).await;
    member.whole().await;
    member.publish(&hanging, "live").await;
    while member.event().await != BusEvent::Frame(frame(&hanging, "live")) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_publisher_lost_is_told_to_subscribers_whose_own_connection_lived() {
    let servers = servers(1);
    let mut member = Member::start(settings(Layout::Primaries, urls(&servers))).await;
    let publisher = Member::start(settings(Layout::Primaries, urls(&servers))).await;
    let topic = Topic::user(APP, "alice");
    member.subscribe(&topic).await;
    publisher.publish(&topic, "before").await;
    member.expect(&topic, "before").await;

    // Connections with subscriptions are of another type and stay; a foreign mark keeps the others from coming back.
    servers[0].cli(&["SET", "bh:region", "frankfurt"]).unwrap();
    servers[0].cli(&["CLIENT", "KILL", "TYPE", "normal"]).unwrap();
    until("the loss is noticed", || !publisher.bus.shards_away().is_empty()).await;
    publisher.publish(&topic, "to nobody").await;
    servers[0].cli(&["SET", "bh:region", "singapore"]).unwrap();
    member.gap_of(&topic, |other| panic!("{other:?} came instead of the gap")).await;
    publisher.publish(&topic, "after").await;
    member.expect(&topic, "after").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_whose_connection_was_cut_misses_nothing_without_being_told() {
    let servers = servers(1);
    let mut member = Member::start(settings(Layout::Primaries, urls(&servers))).await;
    let publisher = Member::start(settings(Layout::Primaries, urls(&servers))).await;
    let topic = Topic::user(APP, "alice");
    member.subscribe(&topic).await;
    for round in 0..10 {
        servers[0].cli(&["CLIENT", "KILL", "TYPE", "pubsub"]).unwrap();
        for n in 0..20 {
            publisher.publish(&topic, &format!("{round} {n}")).await;
        }
        let mut next = 0;
        loop {
            match member.event().await {
                BusEvent::Frame(frame) if frame.payload.starts_with(format!("{round} ").as_bytes()) => {
                    next += 1
                }
                BusEvent::Frame(frame) => panic!("a frame of another round: {:?}", frame.payload),
                BusEvent::Gap { slots } => {
                    assert!(slots.contains(topic.slot()));
                    break;
                }
            }
        }
        assert!(next <= 20);
        // Live again; what was published before the subscription may still come behind the gap.
        publisher.publish(&topic, "end").await;
        while member.event().await != BusEvent::Frame(frame(&topic, "end")) {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_forgets_with_its_shard_and_takes_entries_again() {
    let mut servers = servers(1);
    let member = Member::start(settings(Layout::Primaries, urls(&servers))).await;
    let registry = member.bus.registry();
    let key = Topic::user(APP, "alice");
    let entry = RegistryPut { key: key.clone(), field: Bytes::from("f"), value: Bytes::from("v") };
    registry.put(vec![entry.clone()], 60_000).await.unwrap();
    servers[0].cli(&["SCRIPT", "FLUSH"]).unwrap();
    assert_eq!(registry.list(vec![key.clone()]).await.unwrap()[0].len(), 1, "scripts are loaded again");
    servers[0].kill().unwrap();
    until("the loss is noticed", || !member.bus.shards_away().is_empty()).await;
    let refused = registry.list(vec![key.clone()]).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    servers[0].restart().unwrap();
    member.whole().await;
    registry.put(vec![entry], 60_000).await.unwrap();
    assert_eq!(registry.list(vec![key]).await.unwrap()[0].len(), 1);
}
