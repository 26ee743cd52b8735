//! Pages of a channel's history.

use bulkhead_api::RouterApi;
use bulkhead_model::ErrorKind;
use bulkhead_proto::records::ContentKind;
use bulkhead_proto::router::{HistoryRequest, PublishRequest, Queue, QueueKind};
use bytes::Bytes;

use crate::bed::{Bed, START_MS};

impl Bed {
    /// The newest page, with what it holds.
    pub(crate) async fn router_history(&self, user: &str, with: &str) -> Vec<(u64, Bytes)> {
        let page = self.router.history(self.history(user, with, 50)).await.unwrap();
        page.messages.into_iter().map(|message| (message.id, message.meta)).collect()
    }

    async fn sent(&self, count: usize) -> Vec<u64> {
        let mut ids = Vec::new();
        for _ in 0..count {
            self.clock.advance_ms(1000);
            ids.push(self.send(self.text("alice", "bob", "x")).await.id);
        }
        ids
    }
}

#[tokio::test]
async fn pages_go_both_ways_without_a_gap_or_a_repetition() {
    let bed = Bed::start().await;
    let ids = bed.sent(25).await;
    let backwards: Vec<_> = ids.iter().rev().copied().collect();
    for limit in [1, 7, 24, 25, 26, 50] {
        let request = bed.history("bob", "alice", limit);
        assert_eq!(bed.history_all(request.clone()).await, backwards, "{limit}");
        let newer = HistoryRequest { towards_newer: true, ..request };
        assert_eq!(bed.history_all(newer).await, ids, "{limit}");
    }
    let page = bed.router.history(bed.history("alice", "bob", 25)).await.unwrap();
    assert!(page.is_last, "a full page with nothing behind it is the last");
    let page = bed.router.history(bed.history("alice", "bob", 24)).await.unwrap();
    assert_eq!((page.is_last, page.next_key), (false, ids[1]));
    let after = HistoryRequest { start_id: ids[20], towards_newer: true, ..bed.history("bob", "alice", 50) };
    assert_eq!(bed.history_all(after).await, ids[21..]);
}

#[tokio::test]
async fn filters_by_time_content_and_sender_hold_together() {
    let bed = Bed::start().await;
    let texts = bed.sent(5).await;
    bed.clock.advance_ms(1000);
    let picture = PublishRequest { content: ContentKind::Image.into(), ..bed.text("bob", "alice", "") };
    let picture = bed.send(picture).await.id;
    let all = bed.history("bob", "alice", 50);
    let by_content = HistoryRequest { contents: vec![ContentKind::Image.into()], ..all.clone() };
    assert_eq!(bed.history_all(by_content).await, [picture]);
    let by_sender = HistoryRequest { sender: "bob".into(), ..all.clone() };
    assert_eq!(bed.history_all(by_sender).await, [picture]);
    let by_time = HistoryRequest {
        from_ms: START_MS + 2000,
        to_ms: START_MS + 3000,
        towards_newer: true,
        ..all.clone()
    };
    assert_eq!(bed.history_all(by_time).await, texts[1..3], "both bounds belong to it");
    let empty = HistoryRequest { from_ms: START_MS + 9000, to_ms: START_MS, ..all };
    assert!(bed.history_all(empty).await.is_empty());
}

#[tokio::test]
async fn what_is_hidden_or_for_one_device_is_left_out() {
    let bed = Bed::start().await;
    let hidden = PublishRequest { history_hidden_for: vec!["bob".into()], ..bed.text("alice", "bob", "x") };
    let hidden = bed.send(hidden).await.id;
    let directed = PublishRequest { to_device: "ios_1".into(), ..bed.text("alice", "bob", "x") };
    let directed = bed.send(directed).await.id;
    assert!(bed.history_all(bed.history("bob", "alice", 50)).await.is_empty());
    assert_eq!(bed.history_all(bed.history("alice", "bob", 50)).await, [directed, hidden]);
}

#[tokio::test]
async fn a_filter_that_lets_little_through_is_bounded_and_goes_on() {
    let bed = Bed::start().await;
    let picture = PublishRequest { content: ContentKind::Image.into(), ..bed.text("alice", "bob", "") };
    let first = bed.send(picture).await.id;
    let pending: Vec<_> = (0..1200).map(|_| bed.publish(bed.text("alice", "bob", "x"))).collect();
    for pending in pending {
        pending.wait().await.unwrap();
    }
    let request =
        HistoryRequest { contents: vec![ContentKind::Image.into()], ..bed.history("bob", "alice", 20) };
    let page = bed.router.history(request.clone()).await.unwrap();
    assert!(page.messages.is_empty() && !page.is_last && page.next_key > first);
    assert_eq!(bed.history_all(request).await, [first]);
}

#[tokio::test]
async fn a_user_sees_only_channels_they_are_in_and_limits_are_kept() {
    let bed = Bed::start().await;
    bed.sent(1).await;
    assert!(bed.history_all(bed.history("carol", "alice", 10)).await.is_empty());
    for limit in [0, 51] {
        let refused = bed.router.history(bed.history("bob", "alice", limit)).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
    }
    let group = Some(Queue { name: "1".into(), kind: QueueKind::Group.into() });
    let refused = bed.router.history(HistoryRequest { queue: group, ..bed.history("bob", "x", 10) }).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ChannelNotFound);
}
