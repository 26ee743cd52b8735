//! Order, chains of ids, who gets what.

use bulkhead_api::RouterApi;
use bulkhead_model::{ErrorKind, MessageId, limits::MESSAGE_BYTES_MAX};
use bulkhead_proto::records::{ContentKind, MessageKind};
use bulkhead_proto::router::{PublishRequest, Queue, QueueKind};
use bytes::Bytes;

use crate::bed::{Bed, START_MS, attach, make_app, number};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_reaches_the_receiver_and_the_senders_other_devices_in_one_chain() {
    let bed = Bed::start().await;
    bed.open("alice", "web_1").await;
    bed.open("bob", "web_2").await;
    let mut previous = 0;
    for n in 1..=3 {
        bed.clock.advance_ms(1);
        let request = PublishRequest {
            from_device: "web_1".into(),
            client_id: n,
            meta_ext: Bytes::from_static(&[0x42, 0]),
            ..bed.text("alice", "bob", "hello")
        };
        let sent = bed.send(request).await;
        assert_eq!((sent.previous_id, sent.duplicate, sent.transient), (previous, false, false));
        assert_eq!(sent.timestamp_ms, MessageId(sent.id).unix_ms());
        assert!(sent.id > previous);
        let to_bob = bed.events.delivery().await;
        assert_eq!((to_bob.user.as_str(), to_bob.queue.unwrap().name.as_str()), ("bob", "alice"));
        assert_eq!((to_bob.id, to_bob.previous_id), (sent.id, previous));
        let to_alice = bed.events.delivery().await;
        assert_eq!((to_alice.user.as_str(), to_alice.queue.unwrap().name.as_str()), ("alice", "bob"));
        assert_eq!((to_alice.id, to_alice.previous_id), (sent.id, previous));
        assert_eq!(to_alice.except_device, "web_1");
        assert_eq!(to_alice.meta, to_bob.meta);
        assert!(to_bob.meta.ends_with(&[0x42, 0]), "ext comes last, as it was sent");
        previous = sent.id;
    }
    // The other direction is the same channel, and so the same chain.
    let answer = bed.send(bed.text("bob", "alice", "yes")).await;
    assert_eq!(answer.previous_id, previous);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_publishers_see_one_order_live_in_pulls_and_in_history() {
    let bed = Bed::start().await;
    bed.open("alice", "web_1").await;
    bed.open("bob", "web_2").await;
    const PUBLISHERS: u64 = 16;
    const EACH: u64 = 25;
    let mut publishers = tokio::task::JoinSet::new();
    for publisher in 0..PUBLISHERS {
        let router = bed.router.clone();
        let (from, to) = if publisher % 2 == 0 { ("alice", "bob") } else { ("bob", "alice") };
        let request = PublishRequest { from_device: format!("ios_{publisher}"), ..bed.text(from, to, "x") };
        publishers.spawn(async move {
            let pending: Vec<_> = (1..=EACH)
                .map(|client_id| router.publish(PublishRequest { client_id, ..request.clone() }))
                .collect();
            let mut ids = Vec::new();
            for pending in pending {
                ids.push(pending.wait().await.unwrap().id);
            }
            assert!(ids.is_sorted(), "a publisher's calls keep their order");
            ids
        });
    }
    let mut sent = publishers.join_all().await.concat();
    sent.sort_unstable();
    sent.dedup();
    assert_eq!(sent.len() as u64, PUBLISHERS * EACH);

    let mut live = Vec::new();
    let (mut alice_last, mut bob_last) = (0, 0);
    for _ in 0..2 * sent.len() {
        let delivery = bed.events.delivery().await;
        let last = if delivery.user == "bob" { &mut bob_last } else { &mut alice_last };
        assert_eq!(delivery.previous_id, *last, "the chain has no gap");
        *last = delivery.id;
        if delivery.user == "bob" {
            live.push(delivery.id);
        }
    }
    assert_eq!(live, sent);
    assert_eq!(bed.pull_all("bob", "web_2", "alice").await, sent);
    assert_eq!(bed.pull_all("alice", "web_1", "bob").await, sent);
    let mut newer = bed.history("carol", "bob", 50);
    newer.user = "alice".into();
    newer.towards_newer = true;
    assert_eq!(bed.history_all(newer).await, sent);
}

#[tokio::test]
async fn who_does_not_exist_is_named_unless_the_sender_is_the_app() {
    let bed = Bed::start().await;
    let error = bed.try_send(bed.text("alice", "nobody", "x")).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::UserNotFound, "username nobody doesn't exist!"));
    let error = bed.try_send(bed.text("nobody", "alice", "x")).await.unwrap_err();
    assert_eq!(error.message(), "username nobody doesn't exist!");
    let error = bed.try_send(bed.text("alice", "No Body", "x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UserNotFound);
    let request = PublishRequest { administrative: true, ..bed.text("admin", "alice", "x") };
    bed.send(request).await;
}

#[tokio::test]
async fn what_is_too_large_malformed_or_for_a_channel_that_is_not_there_is_refused() {
    let bed = Bed::start().await;
    let payload = Bytes::from(vec![0; MESSAGE_BYTES_MAX + 1024]);
    bed.send(PublishRequest { payload, ..bed.text("alice", "bob", "") }).await;
    let payload = Bytes::from(vec![0; MESSAGE_BYTES_MAX + 1025]);
    let refused = bed.refusal(PublishRequest { payload, ..bed.text("alice", "bob", "") }).await;
    assert_eq!(refused, ErrorKind::TooLarge);
    let text = bed.text("alice", "bob", "x");
    for wrong in [
        PublishRequest { app: Bytes::from_static(b"short"), ..text.clone() },
        PublishRequest { from_user: "Not legal".into(), ..text.clone() },
        PublishRequest { to: None, ..text.clone() },
        PublishRequest { kind: 99, ..text.clone() },
        PublishRequest { content: 99, ..text.clone() },
        PublishRequest { from_device: "a\0b".into(), ..text.clone() },
        PublishRequest { to_device: "d".repeat(257), ..text.clone() },
    ] {
        assert_eq!(bed.refusal(wrong).await, ErrorKind::InvalidArgument);
    }
    for kind in [QueueKind::Group, QueueKind::Room, QueueKind::Thread] {
        let to = Some(Queue { name: "1".into(), kind: kind.into() });
        let refused = bed.refusal(PublishRequest { to, ..text.clone() }).await;
        assert_eq!(refused, ErrorKind::ChannelNotFound);
    }
    let app = Bytes::from_static(&[9; 16]);
    assert_eq!(bed.refusal(PublishRequest { app, ..text }).await, ErrorKind::AppNotFound);
}

#[tokio::test]
async fn a_message_for_online_sessions_only_is_delivered_and_leaves_no_trace() {
    let bed = Bed::start().await;
    bed.open("bob", "web_2").await;
    let request = PublishRequest {
        online_only: true,
        from_device: "web_1".into(),
        client_id: 1,
        ..bed.text("alice", "bob", "now")
    };
    let sent = bed.send(request.clone()).await;
    assert!(sent.transient && sent.id > 0);
    let delivery = bed.events.delivery().await;
    assert_eq!((delivery.id, delivery.previous_id, delivery.transient), (sent.id, 0, true));
    let again = bed.send(request).await;
    assert_eq!((again.id, again.duplicate), (sent.id, true));
    assert!(bed.pull_all("bob", "web_2", "alice").await.is_empty());
    assert!(bed.history_all(bed.history("bob", "alice", 10)).await.is_empty());
    assert_eq!(bed.offline_count("bob").await, 0);
    // The next stored one has no gap before it.
    assert_eq!(bed.send(bed.text("alice", "bob", "stored")).await.previous_id, 0);
    assert_eq!(bed.events.delivery().await.previous_id, 0);
}

#[tokio::test]
async fn a_message_can_be_for_one_device_and_for_ones_own_other_device() {
    let bed = Bed::start().await;
    for device in ["web_1", "ios_1"] {
        bed.open("bob", device).await;
    }
    let request = PublishRequest { to_device: "ios_1".into(), ..bed.text("alice", "bob", "x") };
    let for_phone = bed.send(request).await;
    assert_eq!(bed.events.delivery().await.only_device, "ios_1");
    assert_eq!(bed.pull_all("bob", "ios_1", "alice").await, [for_phone.id]);
    assert!(bed.pull_all("bob", "web_1", "alice").await.is_empty());

    let request = PublishRequest {
        from_device: "web_1".into(),
        to_device: "ios_1".into(),
        ..bed.text("bob", "bob", "note")
    };
    let note = bed.send(request).await;
    let delivery = bed.events.delivery().await;
    assert_eq!(
        (delivery.user.as_str(), delivery.queue.unwrap().name.as_str(), delivery.id),
        ("bob", "bob", note.id)
    );
    assert_eq!((delivery.except_device.as_str(), delivery.only_device.as_str()), ("web_1", "ios_1"));
    assert_eq!(bed.pull_all("bob", "ios_1", "bob").await, [note.id]);
    assert!(bed.pull_all("bob", "web_1", "bob").await.is_empty());
    // Exactly one delivery: the next event is the next message's.
    let marker = bed.send(bed.text("alice", "bob", "marker")).await;
    assert_eq!(bed.events.delivery().await.id, marker.id);
}

#[tokio::test]
async fn a_message_without_sync_stays_from_the_senders_devices() {
    let bed = Bed::start().await;
    bed.open("alice", "web_1").await;
    let hidden = PublishRequest { sync_devices: false, ..bed.text("alice", "bob", "rest") };
    let hidden = bed.send(hidden).await;
    let shown = bed.send(bed.text("alice", "bob", "shown")).await;
    assert_eq!(shown.previous_id, 0, "the hidden one has no place in the sender's view");
    assert_eq!(bed.events.delivery().await.id, shown.id);
    assert_eq!(bed.pull_all("alice", "web_1", "bob").await, [shown.id]);
    bed.open("bob", "web_2").await;
    assert_eq!(bed.pull_all("bob", "web_2", "alice").await, [hidden.id, shown.id]);
}

#[tokio::test]
async fn receipts_are_stored_and_delivered_and_not_counted() {
    let bed = Bed::start().await;
    bed.open("bob", "web_2").await;
    let text = bed.send(bed.text("alice", "bob", "x")).await;
    for kind in [MessageKind::ReadAck, MessageKind::DeliverAck, MessageKind::ChannelAck] {
        bed.send(PublishRequest { kind: kind.into(), target_id: text.id, ..bed.text("alice", "bob", "") })
            .await;
    }
    for _ in 0..4 {
        bed.events.delivery().await;
    }
    assert_eq!(bed.offline_count("bob").await, 1);
    assert_eq!(bed.pull_all("bob", "web_2", "alice").await.len(), 4);
    assert_eq!(bed.history_all(bed.history("bob", "alice", 10)).await, [text.id]);
    assert_eq!(bed.offline_count("bob").await, 0);
    let command = PublishRequest { content: ContentKind::Command.into(), ..bed.text("alice", "bob", "") };
    bed.send(command).await;
    assert_eq!(bed.offline_count("bob").await, 1);
    assert_eq!(bed.history_all(bed.history("bob", "alice", 10)).await, [text.id]);
}

#[tokio::test]
async fn apps_have_nothing_to_do_with_each_other() {
    let mut bed = Bed::start().await;
    let ours = bed.app.clone();
    let theirs = make_app(&bed.auth, "other").await;
    bed.open("bob", "web_2").await;
    bed.app = theirs.clone();
    let foreign = bed.send(bed.text("alice", "bob", "not yours")).await;
    let status = |app: &Bytes, id| bulkhead_proto::router::MessageStatusRequest {
        app: app.clone(),
        user: "bob".into(),
        id,
    };
    assert!(!bed.router.message_status(status(&theirs, foreign.id)).await.unwrap().delivered);
    bed.app = ours.clone();
    let missing = bed.router.message_status(status(&ours, foreign.id)).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::MessageNotFound);
    assert!(bed.pull_all("bob", "web_2", "alice").await.is_empty());
    assert!(bed.history_all(bed.history("bob", "alice", 10)).await.is_empty());
    let recall = PublishRequest {
        kind: MessageKind::Recall.into(),
        target_id: foreign.id,
        ..bed.text("alice", "bob", "")
    };
    assert_eq!(bed.refusal(recall).await, ErrorKind::MessageNotFound);
    let own = bed.send(bed.text("alice", "bob", "yours")).await;
    assert_eq!(bed.events.delivery().await.id, own.id);
}

#[tokio::test]
async fn every_gateway_of_a_user_gets_a_message_once() {
    let bed = Bed::start().await;
    let second = attach(&bed.router, "second").await;
    for device in ["web_1", "web_2"] {
        bed.open("bob", device).await;
    }
    let login = bed.login("bob", "ios_1");
    bed.router
        .open_session(bulkhead_proto::router::OpenSessionRequest { gateway: "second".into(), ..login })
        .await
        .unwrap();
    let first = bed.send(bed.text("alice", "bob", "1")).await.id;
    let next = bed.send(bed.text("alice", "bob", "2")).await.id;
    for events in [&bed.events, &second] {
        assert_eq!((events.delivery().await.id, events.delivery().await.id), (first, next));
    }
    assert!(number("web_1") != number("web_2"));
    assert!(MessageId(first).unix_ms() >= START_MS);
}
