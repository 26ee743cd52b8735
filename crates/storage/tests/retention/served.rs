//! The plan in force when somebody reads decides what is served.

use bulkhead_model::ErrorKind;
use bulkhead_store::{Scan, Store, tables};

use crate::bed::{APP, Bed, DAY_MS, HOUR_MS, NOW_MS, channel, message, scan};

const PAIR: [&str; 2] = ["alice", "bob"];

#[tokio::test]
async fn messages_are_served_as_long_as_the_plan_says() {
    for (plan, days) in [("free", 7), ("starter", 90), ("pro", 180), ("enterprise", 180), ("enterprise:3", 3)]
    {
        let bed = Bed::on_folder().await;
        bed.set_plan(APP, plan).await;
        bed.send(APP, PAIR, NOW_MS).await;
        let key = message(APP, &channel(PAIR), NOW_MS);
        bed.clock.advance_ms(days * DAY_MS - 1);
        assert!(bed.storage.get(key.clone()).await.unwrap().is_some(), "{plan}: not before {days} days");
        assert_eq!(bed.served(APP, &channel(PAIR)).await, [NOW_MS], "{plan}");
        bed.clock.advance_ms(1);
        assert!(bed.storage.get(key).await.unwrap().is_none(), "{plan}: over after {days} days");
        assert!(bed.served(APP, &channel(PAIR)).await.is_empty(), "{plan}");
    }
}

async fn the_plan_in_force_decides(bed: Bed) {
    let sent: Vec<u64> = [100, 30, 8, 6, 1].map(|days| NOW_MS - days * DAY_MS).to_vec();
    for at_ms in &sent {
        bed.send(APP, PAIR, *at_ms).await;
    }
    let channel = channel(PAIR);
    let file = bed.upload(APP).await;
    bed.clock.advance_ms(10 * DAY_MS);
    let new_ms = NOW_MS + 9 * DAY_MS;
    bed.send(APP, PAIR, new_ms).await;
    let all: Vec<u64> = sent.iter().copied().chain([new_ms]).collect();
    assert_eq!(bed.served(APP, &channel).await, all);
    assert_eq!(bed.head(APP, &file).await, None);

    bed.set_plan(APP, "free").await;
    assert_eq!(bed.served(APP, &channel).await, [new_ms], "from this moment on");
    let by_id: Vec<_> = all.iter().map(|at_ms| message(APP, &channel, *at_ms)).collect();
    let found = bed.storage.get_many(by_id).await.unwrap();
    assert_eq!(
        found.iter().map(Option::is_some).collect::<Vec<_>>(),
        [false, false, false, false, false, true]
    );
    let backwards = Scan { descending: true, limit: 3, ..scan(&tables::MESSAGES, APP, channel.as_bytes()) };
    assert_eq!(bed.storage.scan(backwards).await.unwrap().len(), 1);
    let before = Scan {
        to: message(APP, &channel, new_ms).clustering,
        ..scan(&tables::MESSAGES, APP, channel.as_bytes())
    };
    assert_eq!(bed.storage.scan(before).await.unwrap().len(), 0);
    assert_eq!(bed.head(APP, &file).await, Some(ErrorKind::AttachmentExpired));

    // Nothing was removed yet: a longer plan brings back what is there, whatever it was written under.
    bed.set_plan(APP, "starter").await;
    assert_eq!(bed.served(APP, &channel).await, all[1..]);
    assert_eq!(bed.head(APP, &file).await, None);
    bed.set_plan(APP, "enterprise:3650").await;
    assert_eq!(bed.served(APP, &channel).await, all);
}

#[tokio::test]
async fn the_plan_in_force_decides_on_a_folder() {
    the_plan_in_force_decides(Bed::on_folder().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_plan_in_force_decides_on_a_database() {
    the_plan_in_force_decides(Bed::on_cassandra().await).await;
}

/// What was written under a plan of a week lives on when the plan gets longer within the week.
#[tokio::test]
async fn a_longer_plan_keeps_what_a_shorter_one_would_have_ended() {
    let bed = Bed::on_folder().await;
    bed.set_plan(APP, "free").await;
    bed.send(APP, PAIR, NOW_MS).await;
    let file = bed.upload(APP).await;
    bed.clock.advance_ms(6 * DAY_MS);
    bed.sweep().await;
    bed.set_plan(APP, "pro").await;
    bed.clock.advance_ms(173 * DAY_MS);
    bed.sweep().await;
    assert_eq!(bed.served(APP, &channel(PAIR)).await, [NOW_MS]);
    assert_eq!(bed.head(APP, &file).await, None);
    bed.clock.advance_ms(DAY_MS + 14 * HOUR_MS);
    bed.sweep().await;
    assert_eq!(bed.kept(APP, &channel(PAIR)).await, Vec::<u64>::new());
    assert_eq!(bed.head(APP, &file).await, Some(ErrorKind::AttachmentExpired));
}

/// Another process has the plan for a second at the most.
#[tokio::test]
async fn another_process_follows_a_change_of_plan_within_two_seconds() {
    let bed = Bed::on_folder().await;
    let at_ms = NOW_MS - 8 * DAY_MS;
    bed.send(APP, PAIR, at_ms).await;
    let (other, _) = bed.another(9).await;
    let key = message(APP, &channel(PAIR), at_ms);
    assert!(other.get(key.clone()).await.unwrap().is_some());
    bed.set_plan(APP, "free").await;
    let limit = std::time::Instant::now() + std::time::Duration::from_secs(2);
    while other.get(key.clone()).await.unwrap().is_some() {
        assert!(std::time::Instant::now() < limit, "it is still served");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}
