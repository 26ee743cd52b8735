use bulkhead_api::RouterApi;
use bulkhead_proto::router::{Queue, SessionRequest, UserRequest};

use crate::client::{Client, Down, text_of};
use crate::region::Region;

#[tokio::test]
async fn a_message_is_acknowledged_delivered_and_proven() {
    let region = Region::start().await;
    let mut alice = region.client("alice", "webim_a").await;
    let mut bob = region.client("bob", "webim_b").await;
    let id = alice.text(7, "bob", "hello").await;
    let delivered = bob.next_sync().await;
    assert_eq!(delivered.queue.as_ref().unwrap().name(), "alice");
    assert_eq!((delivered.metas[0].id(), text_of(&delivered.metas[0])), (id, "hello".into()));
    assert_eq!(delivered.metas[0].from.as_ref().unwrap().client_resource(), "webim_a");
    assert_eq!(delivered.metas[0].meta.as_deref(), Some(br#"{"is_online":1}"#.as_slice()));

    let waits = || async {
        let request = UserRequest { app: region.app.clone(), user: "bob".into() };
        region.router.offline_count(request).await.unwrap().messages
    };
    // The pong behind the push proves it.
    bob.round_trip().await;
    while waits().await != 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_resend_is_acknowledged_again_and_not_delivered_twice() {
    let region = Region::start().await;
    let mut alice = region.client("alice", "webim_a").await;
    let mut bob = region.client("bob", "webim_b").await;
    let id = alice.text(7, "bob", "once").await;
    assert_eq!(alice.text(7, "bob", "once").await, id);
    alice.text(8, "bob", "then").await;
    assert_eq!(text_of(&bob.next_sync().await.metas[0]), "once");
    assert_eq!(text_of(&bob.next_sync().await.metas[0]), "then");
}

#[tokio::test]
async fn many_messages_at_once_are_acknowledged_and_delivered_in_their_order() {
    let region = Region::start().await;
    let mut alice = region.client("alice", "webim_a").await;
    let mut bob = region.client("bob", "webim_b").await;
    const COUNT: u64 = 600;
    let texts = async {
        for number in 1..=COUNT {
            alice.send_text(number, "bob", &number.to_string()).await;
        }
        for number in 1..=COUNT {
            assert_eq!(alice.next_sync().await.meta_id, Some(number));
        }
    };
    let ((), received) = tokio::join!(texts, receive(&mut bob, COUNT as usize));
    assert!(received.iter().enumerate().all(|(at, text)| *text == (at + 1).to_string()), "out of order");
}

#[tokio::test]
async fn what_was_sent_while_a_device_was_away_is_pulled_in_order() {
    let region = Region::start().await;
    let mut alice = region.client("alice", "webim_a").await;
    for number in 0..120u64 {
        alice.text(number + 1, "bob", &number.to_string()).await;
    }
    let mut bob = region.client("bob", "webim_b").await;
    assert_eq!(bob.ask_unread().await, [("alice".to_owned(), 120)]);
    assert_eq!(bob.pull_all("alice").await, (0..120).map(|n| n.to_string()).collect::<Vec<_>>());
    alice.text(500, "bob", "live").await;
    assert_eq!(text_of(&bob.next_sync().await.metas[0]), "live");
    bob.round_trip().await;
    drop(bob);
    let mut bob = region.client("bob", "webim_b").await;
    assert_eq!(bob.ask_unread().await, []);
}

#[tokio::test]
async fn a_message_that_comes_while_a_page_is_read_is_not_lost() {
    let region = Region::start().await;
    let mut alice = region.client("alice", "webim_a").await;
    alice.text(1, "bob", "one").await;
    let mut bob = region.client("bob", "webim_b").await;
    let turn = region.router.gate.acquire().await.unwrap();
    bob.ask_page("alice", None).await;
    alice.text(2, "bob", "two").await;
    drop(turn);
    let first = bob.next_sync().await;
    let mut texts: Vec<String> = first.metas.iter().map(text_of).collect();
    texts.extend({
        bob.ask_page("alice", first.next_key).await;
        let second = bob.next_sync().await;
        second.metas.iter().map(text_of).collect::<Vec<_>>()
    });
    assert_eq!(texts, ["one", "two"]);
}

#[tokio::test]
async fn own_devices_see_what_one_of_them_sends() {
    let region = Region::start().await;
    let mut desk = region.client("alice", "webim_desk").await;
    let mut lap = region.client("alice", "webim_lap").await;
    let mut bob = region.client("bob", "webim_b").await;
    desk.text(1, "bob", "from the desk").await;
    let copy = lap.next_sync().await;
    assert_eq!(copy.queue.as_ref().unwrap().name(), "bob");
    assert_eq!(text_of(&copy.metas[0]), "from the desk");
    bob.next_sync().await;
    bob.text(1, "alice", "answer").await;
    assert_eq!(text_of(&desk.next_sync().await.metas[0]), "answer");
    assert_eq!(text_of(&lap.next_sync().await.metas[0]), "answer");
}

#[tokio::test]
async fn a_refusal_reaches_the_sender_and_the_socket_goes_on() {
    let region = Region::start().await;
    let mut alice = region.client("alice", "webim_a").await;
    alice.send_text(1, "nobody-here", "x").await;
    let refused = alice.next_sync().await;
    assert_eq!((refused.meta_id, refused.server_id), (Some(1), None));
    let status = refused.status.unwrap();
    assert!(status.reason().contains("username") && status.reason().contains("doesn't exist!"));
    alice.text(2, "bob", "still here").await;
}

#[tokio::test]
async fn a_slow_reader_loses_nothing() {
    let region = Region::with(|settings| settings.outbox_bytes_max = 4096).await;
    let mut alice = region.client("alice", "webim_a").await;
    let mut bob = region.client("bob", "webim_b").await;
    const COUNT: u64 = 400;
    for number in 1..=COUNT {
        alice.send_text(number, "bob", &format!("{number} {}", "x".repeat(3000))).await;
        // The clock stands still; the limit on the rate of frames must not.
        region.clock.advance_ms(2);
    }
    for _ in 1..=COUNT {
        assert_eq!(alice.next_sync().await.status.unwrap().error_code, Some(0));
    }
    let received = receive(&mut bob, COUNT as usize).await;
    let in_order = |(at, text): (usize, &String)| text.starts_with(&format!("{} ", at + 1));
    assert!(received.iter().enumerate().all(in_order), "out of order");
}

#[tokio::test]
async fn another_session_of_the_device_goes_on_where_it_was() {
    let region = Region::start().await;
    let mut alice = region.client("alice", "webim_a").await;
    let mut bob = region.client("bob", "webim_b").await;
    alice.text(1, "bob", "one").await;
    bob.next_sync().await;
    bob.round_trip().await;
    bob.round_trip().await;
    let again = region.client("bob", "webim_b").await;
    assert!(matches!(bob.next().await, Down::Closed(1000)), "its place was taken");
    let session =
        SessionRequest { app: region.app.clone(), user: "bob".into(), device: "webim_b".into(), session: 0 };
    let queues: Vec<Option<Queue>> =
        region.router.unread(session).await.unwrap().queues.into_iter().map(|unread| unread.queue).collect();
    assert_eq!(queues, []);
    drop(again);
}

/// Receives so many different texts as a client does: what is pushed, and by pulling what it is given notice of. What
/// came before is dropped: a push that was not proven yet comes again with a page.
async fn receive(client: &mut Client, count: usize) -> Vec<String> {
    let mut received: Vec<String> = Vec::new();
    while received.len() < count {
        let texts = match client.next().await {
            Down::Sync(sync) => sync.metas.iter().map(text_of).collect(),
            Down::Notice(notice) => client.pull_all(notice.queue.unwrap().name()).await,
            other => panic!("{other:?}"),
        };
        for text in texts {
            if !received.contains(&text) {
                received.push(text);
            }
        }
    }
    received
}
