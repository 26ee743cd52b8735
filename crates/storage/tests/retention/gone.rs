//! Within a day after its end nothing is left of anything, in any engine.

use bulkhead_model::{Entropy, ErrorKind, SeededEntropy};
use bulkhead_store::{Mutation, Put, Retention, RowKey, Scope, Store, tables};
use bulkhead_store_embedded::EmbeddedStore;
use bulkhead_testkit::files_that_contain;
use bytes::Bytes;

use crate::bed::{APP, Bed, DAY_MS, HOUR_MS, NOW_MS, OTHER_APP, channel, conversation, put};

/// Part of a username, which is part of keys: values are sealed, and would not be found anyway.
const CANARY: &str = "canary-in-the-coal-mine";
const PAIR: [&str; 2] = [CANARY, "zoe"];

/// A row of each table whose rows end by themselves, and its class.
fn ending_rows() -> [(RowKey, Retention); 2] {
    let row = |table, partition: String| RowKey {
        table,
        scope: Scope::App(APP),
        partition: partition.into(),
        clustering: Bytes::from_static(b"123456789"),
    };
    [&tables::DEDUP, &tables::DEVICES].map(|table| (row(table, CANARY.to_owned()), table.retention))
}

/// Walks through every class of retention with a moved clock.
async fn every_class_ends(bed: Bed) {
    let (direct, group) = (channel(PAIR), format!("g:{CANARY}"));
    bed.send(APP, PAIR, NOW_MS).await;
    bed.send_to_group(APP, &group, NOW_MS).await;
    bed.send(OTHER_APP, ["amy", "bob"], NOW_MS).await;
    bed.storage.write(vec![put(conversation(APP, CANARY, &group), b"".to_vec())]).await.unwrap();
    let file = bed.upload(APP).await;
    for (key, _) in ending_rows() {
        bed.storage.write(vec![put(key, b"v".to_vec())]).await.unwrap();
    }
    let token = RowKey {
        table: &tables::TOKENS,
        scope: Scope::App(APP),
        partition: Bytes::from_static(CANARY.as_bytes()),
        clustering: Bytes::new(),
    };
    let token_row = Put { key: token.clone(), value: Bytes::from_static(b"v"), expires_in_ms: Some(HOUR_MS) };
    bed.storage.write(vec![Mutation::Put(token_row)]).await.unwrap();

    bed.clock.set_ms(NOW_MS + HOUR_MS);
    assert_eq!(bed.storage.get(token).await.unwrap(), None);
    for (key, class) in ending_rows() {
        let life_ms = class.own_life_ms().unwrap();
        if life_ms < 180 * DAY_MS {
            bed.clock.set_ms(NOW_MS + life_ms - 1);
            assert!(bed.storage.get(key.clone()).await.unwrap().is_some(), "{}", key.table);
            bed.clock.set_ms(NOW_MS + life_ms);
            assert_eq!(bed.storage.get(key.clone()).await.unwrap(), None, "{}", key.table);
        }
    }
    bed.clock.set_ms(NOW_MS + 180 * DAY_MS - 1);
    assert_eq!(bed.sweep().await.channels, 0);
    assert_eq!(bed.served(APP, &direct).await, [NOW_MS]);
    bed.clock.set_ms(NOW_MS + 180 * DAY_MS);
    assert!(bed.served(APP, &direct).await.is_empty() && bed.served(APP, &group).await.is_empty());
    for (key, _) in ending_rows() {
        assert_eq!(bed.storage.get(key.clone()).await.unwrap(), None, "{}", key.table);
    }
    assert_eq!(bed.head(APP, &file).await, Some(ErrorKind::AttachmentExpired));
    assert_eq!(bed.objects(), 1);

    bed.clock.set_ms(NOW_MS + 181 * DAY_MS);
    let swept = bed.sweep().await;
    assert_eq!((swept.channels, swept.attachments), (3, 1));
    assert!(bed.kept(APP, &direct).await.is_empty() && bed.kept(APP, &group).await.is_empty());
    assert_eq!(bed.rows(&tables::CONVERSATIONS, APP, CANARY.as_bytes()).await, 0);
    assert_eq!(bed.rows(&tables::CONVERSATIONS, APP, b"zoe").await, 0);
    assert_eq!(bed.rows(&tables::RETAINED, APP, b"messages").await, 0);
    assert_eq!(bed.rows(&tables::RETAINED, APP, b"attachments").await, 0);
    assert_eq!(bed.objects(), 0);
    assert_eq!(bed.head(APP, &file).await, Some(ErrorKind::AttachmentExpired), "it is known to have been");
    assert_eq!(bed.sweep().await, bulkhead_storage::Swept::default(), "nothing is left to do");

    if let Some(engine) = &bed.embedded {
        engine.sweep().await.unwrap();
        fill_journal(engine).await;
        engine.close().await;
        assert_eq!(files_that_contain(bed.path(), CANARY.as_bytes()), Vec::<std::path::PathBuf>::new());
        assert_ne!(files_that_contain(bed.path(), b"demo#app1"), Vec::<std::path::PathBuf>::new());
    }
}

/// Goes on writing until the journal of before is full, and the engine lets go of it.
async fn fill_journal(engine: &EmbeddedStore) {
    let mut noise = vec![0; 1024 * 1024];
    SeededEntropy::new(5).fill(&mut noise);
    for number in 0..70u8 {
        let key = RowKey {
            table: &tables::USERS,
            scope: Scope::App(OTHER_APP),
            partition: Bytes::copy_from_slice(&[number]),
            clustering: Bytes::new(),
        };
        engine.write(vec![put(key, noise.clone())]).await.unwrap();
    }
    engine.compact().await.unwrap();
    engine.compact().await.unwrap();
}

#[tokio::test]
async fn every_class_ends_on_a_folder_and_its_files_hold_no_canary() {
    every_class_ends(Bed::on_folder().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_class_ends_on_a_database() {
    every_class_ends(Bed::on_cassandra().await).await;
}

/// Eleven days, two messages a day; then the plan gets shorter.
async fn a_shorter_plan_empties_the_engine(bed: Bed) {
    let sent: Vec<u64> = (0..22).map(|halves| NOW_MS - 11 * DAY_MS + halves * 12 * HOUR_MS).collect();
    for at_ms in &sent {
        bed.send(APP, ["alice", "bob"], *at_ms).await;
        bed.send_to_group(APP, "g:1", *at_ms).await;
    }
    bed.send(APP, PAIR, sent[0]).await;
    bed.send(OTHER_APP, ["alice", "bob"], sent[0]).await;
    let direct = channel(["alice", "bob"]);
    bed.sweep().await;
    bed.set_plan(APP, "free").await;
    assert_eq!(bed.sweep().await.channels, 0, "an hour for an operator who meant another app");
    assert_eq!(bed.kept(APP, &direct).await, sent);

    let mut now_ms = NOW_MS;
    while now_ms < NOW_MS + DAY_MS {
        now_ms += HOUR_MS;
        bed.clock.set_ms(now_ms);
        bed.sweep().await;
        // What is over by more than a day is gone at any time.
        let oldest = now_ms - 7 * DAY_MS - DAY_MS;
        if now_ms >= NOW_MS + 2 * HOUR_MS {
            for channel in [direct.as_str(), "g:1"] {
                assert!(bed.kept(APP, channel).await.iter().all(|at_ms| *at_ms > oldest), "{channel}");
            }
        }
        let kept = bed.kept(APP, &direct).await;
        let served = bed.served(APP, &direct).await;
        assert_eq!(
            served,
            sent.iter().copied().filter(|at_ms| *at_ms > now_ms - 7 * DAY_MS).collect::<Vec<_>>()
        );
        assert!(kept.ends_with(&served), "nothing that is served was removed");
    }
    assert_eq!(bed.kept(APP, &channel(PAIR)).await, Vec::<u64>::new());
    assert_eq!(bed.rows(&tables::CONVERSATIONS, APP, CANARY.as_bytes()).await, 0);
    assert_eq!(bed.rows(&tables::CONVERSATIONS, APP, b"alice").await, 1, "of which something is kept");
    assert_eq!(bed.kept(OTHER_APP, &direct).await, [sent[0]], "another app has another plan");
}

#[tokio::test]
async fn a_shorter_plan_empties_a_folder_within_a_day() {
    a_shorter_plan_empties_the_engine(Bed::on_folder().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shorter_plan_empties_a_database_within_a_day() {
    a_shorter_plan_empties_the_engine(Bed::on_cassandra().await).await;
}

#[tokio::test]
async fn a_conversation_that_goes_on_outlives_its_beginning() {
    let bed = Bed::on_folder().await;
    bed.set_plan(APP, "free").await;
    bed.send(APP, PAIR, NOW_MS).await;
    bed.clock.advance_ms(6 * DAY_MS);
    let later_ms = NOW_MS + 6 * DAY_MS;
    bed.send(APP, PAIR, later_ms).await;
    bed.clock.advance_ms(2 * DAY_MS);
    assert_eq!(bed.sweep().await.channels, 1);
    assert_eq!(bed.kept(APP, &channel(PAIR)).await, [later_ms]);
    for user in PAIR {
        assert_eq!(bed.rows(&tables::CONVERSATIONS, APP, user.as_bytes()).await, 1, "{user}");
    }
}

/// An edit of an old message, say, behind the sweep of its half day.
#[tokio::test]
async fn what_is_written_into_the_past_is_swept_with_the_next_turn() {
    let bed = Bed::on_folder().await;
    bed.set_plan(APP, "free").await;
    bed.send(APP, PAIR, NOW_MS).await;
    bed.clock.advance_ms(8 * DAY_MS);
    assert_eq!(bed.sweep().await.channels, 1);
    bed.send(APP, PAIR, NOW_MS).await;
    assert_eq!(bed.kept(APP, &channel(PAIR)).await, [NOW_MS]);
    assert_eq!(bed.sweep().await.channels, 1);
    assert_eq!(bed.kept(APP, &channel(PAIR)).await, Vec::<u64>::new());
}

#[tokio::test]
async fn one_process_sweeps_an_app_at_a_time_and_another_takes_over_from_one_that_died() {
    let bed = Bed::on_folder().await;
    bed.set_plan(APP, "free").await;
    bed.send(APP, PAIR, NOW_MS).await;
    bed.clock.advance_ms(8 * DAY_MS);
    let (_, other) = bed.another(9).await;
    let sweep = RowKey {
        table: &tables::RETAINED,
        scope: Scope::Region,
        partition: Bytes::from([b"sweep", &APP.0[..]].concat()),
        clustering: Bytes::new(),
    };
    // As a process leaves it that dies in the middle.
    let held_until_ms = NOW_MS + 8 * DAY_MS + 1000;
    let held = bulkhead_proto::records::Sweep {
        keeps_ms: 7 * DAY_MS,
        holder: Bytes::from_static(b"somebody"),
        held_until_ms,
        ..Default::default()
    };
    bed.storage.write(vec![put(sweep, prost::Message::encode_to_vec(&held))]).await.unwrap();
    let swept = other.sweep().await.unwrap();
    assert!(swept.left && swept.channels == 0, "{swept:?}");
    bed.clock.set_ms(held_until_ms);
    assert_eq!(other.sweep().await.unwrap().channels, 1);
    assert_eq!(bed.kept(APP, &channel(PAIR)).await, Vec::<u64>::new());
}
