//! Ids rise across restarts, whatever the clock does.

use std::sync::Arc;

use bulkhead_api::RouterApi;
use bulkhead_model::{ErrorKind, MessageId};
use bulkhead_router::RouterService;

use crate::bed::{Bed, START_MS};

#[tokio::test]
async fn ids_rise_after_a_crash_with_the_clock_set_back() {
    let mut bed = Bed::start().await;
    let mut last = 0;
    for back_ms in [0, 3_600_000, 7_200_000] {
        bed.clock.set_ms(START_MS - back_ms);
        for _ in 0..3 {
            let id = bed.send(bed.text("alice", "bob", "x")).await.id;
            assert!(id > last);
            last = id;
        }
        bed.crash().await;
    }
}

#[tokio::test]
async fn ids_rise_when_the_clock_steps_back_while_running() {
    let bed = Bed::start().await;
    let before = bed.send(bed.text("alice", "bob", "x")).await.id;
    bed.clock.set_ms(START_MS - 60_000);
    let after = bed.send(bed.text("alice", "bob", "x")).await.id;
    assert!(after > before);
    let elsewhere = bed.send(bed.text("alice", "carol", "x")).await.id;
    assert!(MessageId(elsewhere).unix_ms() >= START_MS);
}

#[tokio::test]
async fn an_orderly_end_leaves_no_gap_in_the_ids_and_a_crash_a_bounded_one() {
    let mut bed = Bed::start().await;
    let before = bed.send(bed.text("alice", "bob", "x")).await;
    bed.restart().await;
    let after = bed.send(bed.text("alice", "bob", "x")).await;
    assert_eq!(after.timestamp_ms, before.timestamp_ms + 1, "the clock stood still");
    bed.crash().await;
    let after_crash = bed.send(bed.text("alice", "bob", "x")).await;
    assert!(after_crash.timestamp_ms - after.timestamp_ms <= 10_000);
}

#[tokio::test]
async fn a_jump_of_the_clock_is_covered_before_ids_are_given() {
    let mut bed = Bed::start().await;
    bed.clock.advance_ms(86_400_000);
    let before = bed.send(bed.text("alice", "bob", "x")).await.id;
    bed.clock.set_ms(START_MS);
    bed.crash().await;
    assert!(bed.send(bed.text("alice", "bob", "x")).await.id > before);
}

#[tokio::test]
async fn a_router_that_was_taken_over_gives_no_more_ids() {
    let bed = Bed::start().await;
    bed.send(bed.text("alice", "bob", "x")).await;
    let successor = RouterService::start(bed.dependencies(bed.settings)).await.unwrap();
    bed.clock.advance_ms(60_000);
    assert_eq!(bed.refusal(bed.text("alice", "bob", "x")).await, ErrorKind::NotOwner);
    successor.publish(bed.text("alice", "bob", "x")).wait().await.unwrap();
    assert_eq!(bed.refusal(bed.text("alice", "bob", "x")).await, ErrorKind::Unavailable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_finishes_what_is_queued_and_refuses_what_comes_after() {
    let bed = Bed::start().await;
    let pending: Vec<_> = (0..2000).map(|_| bed.publish(bed.text("alice", "bob", "x"))).collect();
    let router: Arc<RouterService> = bed.router.clone();
    router.drain().await;
    for pending in pending {
        pending.wait().await.unwrap();
    }
    assert_eq!(bed.refusal(bed.text("alice", "bob", "late")).await, ErrorKind::NotOwner);
    assert_eq!(bed.offline_count("bob").await, 2000);
    assert!(bed.path().exists());
}
