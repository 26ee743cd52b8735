//! When the store fails, nothing is claimed that was not written; when too much comes, the rest is refused.

use bulkhead_model::ErrorKind;
use bulkhead_proto::router::PublishRequest;
use bulkhead_router::{RouterService, RouterSettings};

use crate::bed::Bed;
use crate::switches::Writes;

#[tokio::test]
async fn a_failed_write_leaves_no_phantom_behind() {
    let bed = Bed::start().await;
    bed.open("bob", "web_2").await;
    let numbered = |client_id| PublishRequest {
        from_device: "web_1".into(),
        client_id,
        ..bed.text("alice", "bob", "x")
    };
    let first = bed.send(numbered(1)).await;
    bed.events.delivery().await;
    bed.store.set(Writes::Refuse);
    let failed: Vec<_> = (2..10).map(|client_id| bed.publish(numbered(client_id))).collect();
    for pending in failed {
        assert_eq!(pending.wait().await.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    bed.store.set(Writes::Apply);
    assert_eq!(bed.offline_count("bob").await, 1);
    let next = bed.send(numbered(2)).await;
    assert!(!next.duplicate && next.id > first.id);
    assert_eq!(next.previous_id, first.id, "the chain knows only what is durable");
    let delivery = bed.events.delivery().await;
    assert_eq!((delivery.id, delivery.previous_id), (next.id, first.id));
    assert_eq!(bed.pull_all("bob", "web_2", "alice").await, [first.id, next.id]);
}

#[tokio::test]
async fn cursors_are_written_when_the_store_is_back() {
    let mut bed = Bed::start().await;
    bed.open("bob", "web_2").await;
    let id = bed.send(bed.text("alice", "bob", "x")).await.id;
    bed.store.set(Writes::Refuse);
    bed.confirm("bob", "web_2", "alice", id).await;
    bed.close("bob", "web_2").await;
    assert_eq!(bed.refusal(bed.text("carol", "dave", "x")).await, ErrorKind::Unavailable);
    bed.store.set(Writes::Apply);
    bed.restart().await;
    assert!(bed.open("bob", "web_2").await.is_empty());
    assert_eq!(bed.offline_count("bob").await, 0);
}

#[tokio::test]
async fn a_full_queue_refuses_and_keeps_what_it_took() {
    let settings = RouterSettings {
        lanes: 1,
        queue_messages_max: 10,
        batch_messages_max: 5,
        ..RouterSettings::default()
    };
    let bed = Bed::start_with(settings).await;
    bed.store.set(Writes::Hold);
    let pending: Vec<_> = (0..100).map(|_| bed.publish(bed.text("alice", "bob", "x"))).collect();
    bed.store.set(Writes::Apply);
    let (mut sent, mut refused) = (0, 0);
    for pending in pending {
        match pending.wait().await {
            Ok(_) => sent += 1,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::RateLimited);
                refused += 1;
            }
        }
    }
    assert!((10..=15).contains(&sent), "{sent}");
    assert_eq!(bed.offline_count("bob").await, sent);
    assert_eq!(sent + refused, 100);
    bed.send(bed.text("alice", "bob", "there is room again")).await;
}

#[tokio::test]
async fn state_that_was_forgotten_is_read_again() {
    let settings =
        RouterSettings { cached_conversations_max: 4, cached_senders_max: 16, ..RouterSettings::default() };
    let bed = Bed::start_with(settings).await;
    bed.open("bob", "web_2").await;
    let mut last = 0;
    for round in 0..5u64 {
        for n in 0..40 {
            let admin = PublishRequest { administrative: true, ..bed.text(&format!("u{n}"), "carol", "x") };
            bed.send(admin).await;
        }
        let request = PublishRequest {
            from_device: "web_1".into(),
            client_id: round + 1,
            ..bed.text("alice", "bob", "x")
        };
        let sent = bed.send(request.clone()).await;
        assert_eq!(sent.previous_id, last);
        last = sent.id;
        bed.confirm("bob", "web_2", "alice", last).await;
        assert!(bed.send(request).await.duplicate);
    }
    assert_eq!(bed.offline_count("bob").await, 0);
    assert!(bed.pull_all("bob", "web_2", "alice").await.is_empty());
    assert_eq!(bed.offline_count("carol").await, 200);
}

#[tokio::test]
async fn settings_outside_their_bounds_are_refused() {
    let bed = Bed::start().await;
    let good = RouterSettings::default();
    for settings in [
        RouterSettings { lanes: 0, ..good },
        RouterSettings { batch_messages_max: 1001, ..good },
        RouterSettings { flush_interval_ms: 0, ..good },
    ] {
        let started = RouterService::start(bed.dependencies(settings)).await;
        assert_eq!(started.err().unwrap().kind(), ErrorKind::InvalidArgument);
    }
}
