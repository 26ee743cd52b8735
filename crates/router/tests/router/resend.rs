//! A resend is acknowledged again with the same id and delivered never again (design.md, guarantee 3).

use bulkhead_model::ErrorKind;
use bulkhead_proto::router::PublishRequest;
use bulkhead_router::RouterSettings;

use crate::bed::Bed;
use crate::switches::Writes;

fn numbered(bed: &Bed, client_id: u64) -> PublishRequest {
    PublishRequest { from_device: "web_1".into(), client_id, ..bed.text("alice", "bob", "x") }
}

#[tokio::test]
async fn a_resend_gets_the_first_answer_even_after_a_restart_and_in_another_channel() {
    let mut bed = Bed::start().await;
    bed.open("bob", "web_2").await;
    let first = bed.send(numbered(&bed, 5)).await;
    bed.clock.advance_ms(1000);
    for _ in 0..2 {
        let again = bed.send(numbered(&bed, 5)).await;
        assert_eq!((again.id, again.timestamp_ms, again.duplicate), (first.id, first.timestamp_ms, true));
        let elsewhere =
            PublishRequest { from_device: "web_1".into(), client_id: 5, ..bed.text("alice", "carol", "x") };
        assert_eq!(bed.send(elsewhere).await.id, first.id);
        bed.crash().await;
    }
    assert_eq!(bed.pull_all("bob", "web_2", "alice").await, [first.id]);
    // Another device's ids are its own.
    let other = PublishRequest { from_device: "web_9".into(), ..numbered(&bed, 5) };
    assert!(!bed.send(other).await.duplicate);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resend_of_what_is_in_flight_waits_for_it() {
    let bed = Bed::start().await;
    bed.open("bob", "web_2").await;
    bed.store.set(Writes::Hold);
    let first = bed.publish(numbered(&bed, 7));
    let same_channel = bed.publish(numbered(&bed, 7));
    // The other channels are on all lanes, so most of these meet the first one while it is being written.
    let elsewhere: Vec<_> = ["carol", "dave", "alice"]
        .map(|to| bed.publish(PublishRequest { to: bed.text("alice", to, "").to, ..numbered(&bed, 7) }))
        .into();
    bed.store.set(Writes::Apply);
    let mut answers = vec![first.wait().await.unwrap(), same_channel.wait().await.unwrap()];
    for pending in elsewhere {
        answers.push(pending.wait().await.unwrap());
    }
    assert!(answers.iter().all(|answer| answer.id == answers[0].id));
    assert_eq!(answers.iter().filter(|answer| !answer.duplicate).count(), 1);
}

#[tokio::test]
async fn client_ids_that_left_the_window_are_found_in_the_store() {
    let mut bed =
        Bed::start_with(RouterSettings { cached_senders_max: 16, ..RouterSettings::default() }).await;
    let pending: Vec<_> = (1..=700).map(|id| bed.publish(numbered(&bed, id))).collect();
    let mut ids = Vec::new();
    for pending in pending {
        ids.push(pending.wait().await.unwrap().id);
    }
    for client_id in [1usize, 100, 200, 700] {
        let again = bed.send(numbered(&bed, client_id as u64)).await;
        assert_eq!((again.id, again.duplicate), (ids[client_id - 1], true));
    }
    bed.crash().await;
    for client_id in [1usize, 443, 444, 445, 700] {
        let again = bed.send(numbered(&bed, client_id as u64)).await;
        assert_eq!((again.id, again.duplicate), (ids[client_id - 1], true));
    }
    // Far below the window and never used: new all the same.
    let odd = PublishRequest { from_device: "web_2".into(), ..numbered(&bed, 1) };
    assert!(!bed.send(odd).await.duplicate);
}

#[tokio::test]
async fn a_refused_message_can_be_sent_again_under_its_client_id() {
    let bed = Bed::start().await;
    let to_nobody = PublishRequest { to: bed.text("alice", "nobody", "").to, ..numbered(&bed, 3) };
    assert_eq!(bed.refusal(to_nobody).await, ErrorKind::UserNotFound);
    assert!(!bed.send(numbered(&bed, 3)).await.duplicate);
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_found_by_the_resend() {
    let bed = Bed::start().await;
    bed.open("bob", "web_2").await;
    bed.store.set(Writes::ApplyAndFail);
    assert_eq!(bed.refusal(numbered(&bed, 4)).await, ErrorKind::Unavailable);
    bed.store.set(Writes::Apply);
    let again = bed.send(numbered(&bed, 4)).await;
    assert!(again.duplicate);
    assert_eq!(bed.pull_all("bob", "web_2", "alice").await, [again.id]);
    let next = bed.send(numbered(&bed, 5)).await;
    assert_eq!(next.previous_id, again.id, "the chain goes through the message that nobody was told of");
}
