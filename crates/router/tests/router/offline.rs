//! What a device gets that was not there: cursors, new devices, filters.

use bulkhead_api::RouterApi;
use bulkhead_model::ErrorKind;
use bulkhead_proto::records::MessageKind;
use bulkhead_proto::router::{MessageStatusRequest, PublishRequest, UnreadQueues};

use crate::bed::{Bed, counts};

async fn send(bed: &Bed, count: usize) -> Vec<u64> {
    let mut ids = Vec::new();
    for _ in 0..count {
        bed.clock.advance_ms(1);
        ids.push(bed.send(bed.text("alice", "bob", "x")).await.id);
    }
    ids
}

fn one(count: u64) -> Vec<(String, u64)> {
    vec![("alice".to_owned(), count)]
}

#[tokio::test]
async fn a_page_is_taken_when_its_key_comes_back_and_not_before() {
    let bed = Bed::start().await;
    let ids = send(&bed, 120).await;
    assert_eq!(bed.open("bob", "web_1").await, one(120));
    let first = bed.pull("bob", "web_1", "alice", 0).await;
    assert_eq!((first.messages.len(), first.is_last, first.next_key), (50, false, ids[49]));
    let again = bed.pull("bob", "web_1", "alice", 0).await;
    assert_eq!(again, first, "no key is no proof");
    let second = bed.pull("bob", "web_1", "alice", first.next_key).await;
    assert_eq!(second.messages[0].id, ids[50]);
    assert_eq!(bed.offline_count("bob").await, 70);
    bed.close("bob", "web_1").await;
    assert_eq!(bed.open("bob", "web_1").await, one(70));
    assert_eq!(bed.pull_all("bob", "web_1", "alice").await, ids[50..]);
    assert!(bed.open("bob", "web_1").await.is_empty());
    assert_eq!(bed.offline_count("bob").await, 0);
}

#[tokio::test]
async fn a_key_never_moves_a_cursor_back_nor_beyond_the_log() {
    let bed = Bed::start().await;
    let ids = send(&bed, 3).await;
    bed.open("bob", "web_1").await;
    bed.pull("bob", "web_1", "alice", ids[1]).await;
    bed.confirm("bob", "web_1", "alice", ids[0]).await;
    assert_eq!(bed.pull("bob", "web_1", "alice", ids[0]).await.messages.len(), 1);
    bed.confirm("bob", "web_1", "alice", u64::MAX).await;
    assert!(bed.pull_all("bob", "web_1", "alice").await.is_empty());
    let next = send(&bed, 1).await;
    assert_eq!(bed.pull_all("bob", "web_1", "alice").await, next, "what came later was not skipped");
}

#[tokio::test]
async fn an_old_device_gets_what_it_has_not_taken_and_a_new_one_what_none_has() {
    let bed = Bed::start().await;
    bed.open("bob", "web_1").await;
    bed.open("bob", "ios_1").await;
    let early = send(&bed, 4).await;
    bed.confirm("bob", "web_1", "alice", early[1]).await;
    assert_eq!(bed.offline_count("bob").await, 2);
    assert_eq!(bed.open("bob", "android_1").await, one(2));
    assert_eq!(bed.pull_all("bob", "android_1", "alice").await, early[2..]);
    assert_eq!(bed.pull_all("bob", "ios_1", "alice").await, early);
    assert_eq!(bed.open("bob", "web_1").await, one(2));
    assert_eq!(bed.pull_all("bob", "web_1", "alice").await, early[2..]);
    assert!(bed.open("bob", "win_1").await.is_empty(), "everything was taken by some device");
    let late = send(&bed, 1).await;
    let unread = |device| bed.router.unread(bed.session("bob", device));
    let counted = |queues: UnreadQueues| queues.queues[0].count;
    for device in ["web_1", "ios_1", "android_1", "win_1"] {
        assert_eq!(counted(unread(device).await.unwrap()), 1, "{device}");
        assert_eq!(bed.pull_all("bob", device, "alice").await, late, "{device}");
        assert!(unread(device).await.unwrap().queues.is_empty());
    }
}

#[tokio::test]
async fn the_messages_of_one_standing_instant_are_not_given_to_a_new_device_again() {
    let bed = Bed::start().await;
    bed.open("bob", "web_1").await;
    let id = bed.send(bed.text("alice", "bob", "x")).await.id;
    bed.confirm("bob", "web_1", "alice", id).await;
    assert!(bed.open("bob", "ios_1").await.is_empty());
    assert!(bed.pull_all("bob", "ios_1", "alice").await.is_empty());
}

#[tokio::test]
async fn cursors_survive_a_restart_and_a_crash_costs_only_what_was_not_written() {
    let mut bed = Bed::start().await;
    bed.open("bob", "web_1").await;
    let ids = send(&bed, 4).await;
    bed.confirm("bob", "web_1", "alice", ids[1]).await;
    bed.restart().await;
    assert_eq!(bed.offline_count("bob").await, 2);
    assert_eq!(bed.open("bob", "web_1").await, one(2));
    let status =
        |id| bed.router.message_status(MessageStatusRequest { app: bed.app.clone(), user: "bob".into(), id });
    assert!(status(ids[1]).await.unwrap().delivered);
    assert!(!status(ids[2]).await.unwrap().delivered);
    assert_eq!(status(ids[2] + 1).await.unwrap_err().kind(), ErrorKind::MessageNotFound);
    bed.crash().await;
    assert_eq!(bed.pull_all("bob", "web_1", "alice").await, ids[2..]);
}

#[tokio::test]
async fn what_a_device_sent_itself_it_has_and_its_users_other_devices_get() {
    let bed = Bed::start().await;
    bed.open("alice", "web_1").await;
    bed.open("alice", "ios_1").await;
    let own = PublishRequest { from_device: "web_1".into(), ..bed.text("alice", "bob", "x") };
    let own = bed.send(own).await.id;
    assert!(bed.open("alice", "web_1").await.is_empty(), "it stayed caught up");
    assert_eq!(bed.open("alice", "ios_1").await, [("bob".to_owned(), 0)]);
    assert_eq!(bed.pull_all("alice", "ios_1", "bob").await, [own]);
    let answer = bed.send(bed.text("bob", "alice", "y")).await.id;
    let own = PublishRequest { from_device: "web_1".into(), ..bed.text("alice", "bob", "z") };
    bed.send(own).await;
    assert_eq!(bed.open("alice", "web_1").await, [("bob".to_owned(), 1)], "it was not caught up");
    assert_eq!(bed.pull_all("alice", "web_1", "bob").await, [answer]);
    assert!(bed.open("alice", "web_1").await.is_empty());
}

#[tokio::test]
async fn what_was_taken_back_is_not_pulled() {
    let bed = Bed::start().await;
    bed.open("bob", "web_1").await;
    let ids = send(&bed, 2).await;
    let recall = PublishRequest {
        kind: MessageKind::Recall.into(),
        target_id: ids[0],
        ..bed.text("alice", "bob", "")
    };
    let recall = bed.send(recall).await.id;
    assert_eq!(bed.pull_all("bob", "web_1", "alice").await, [ids[1], recall]);
    assert_eq!(bed.offline_count("bob").await, 0);
}

#[tokio::test]
async fn long_runs_of_what_is_not_for_a_device_are_passed_over() {
    let bed = Bed::start().await;
    bed.open("bob", "web_1").await;
    bed.open("bob", "ios_1").await;
    let for_phone = PublishRequest { to_device: "ios_1".into(), ..bed.text("alice", "bob", "x") };
    let pending: Vec<_> = (0..1200).map(|_| bed.publish(for_phone.clone())).collect();
    for pending in pending {
        pending.wait().await.unwrap();
    }
    let last = send(&bed, 1).await;
    assert_eq!(bed.pull_all("bob", "web_1", "alice").await, last);
    assert_eq!(bed.pull_all("bob", "ios_1", "alice").await.len(), 1201);
}

#[tokio::test]
async fn pages_are_bounded_in_bytes() {
    let bed = Bed::start().await;
    bed.open("bob", "web_1").await;
    let payload = bytes::Bytes::from(vec![1; 6 * 1024]);
    let large = PublishRequest { payload, ..bed.text("alice", "bob", "") };
    let pending: Vec<_> = (0..60).map(|_| bed.publish(large.clone())).collect();
    for pending in pending {
        pending.wait().await.unwrap();
    }
    let page = bed.pull("bob", "web_1", "alice", 0).await;
    let bytes: usize = page.messages.iter().map(|message| message.meta.len()).sum();
    assert!(bytes <= 256 * 1024 && page.messages.len() > 30);
    assert_eq!(bed.pull_all("bob", "web_1", "alice").await.len(), 60);
}

#[tokio::test]
async fn queues_that_nobody_has_are_empty() {
    let bed = Bed::start().await;
    for name in ["nobody", "Not legal", ""] {
        let page = bed.pull("bob", "web_1", name, 0).await;
        assert!(page.is_last && page.messages.is_empty());
    }
    assert!(counts(bed.router.open_session(bed.login("bob", "web_1")).await.unwrap()).is_empty());
}

#[tokio::test]
async fn a_user_with_more_conversations_than_one_page_misses_none() {
    let bed = Bed::start().await;
    let admin = PublishRequest { administrative: true, ..bed.text("x", "bob", "x") };
    let pending: Vec<_> = (0..1100)
        .map(|n| bed.publish(PublishRequest { from_user: format!("u{n}"), ..admin.clone() }))
        .collect();
    for pending in pending {
        pending.wait().await.unwrap();
    }
    assert_eq!(bed.offline_count("bob").await, 1100);
    assert_eq!(bed.open("bob", "web_1").await.len(), 1100);
}
