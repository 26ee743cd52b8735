//! What is told of what is kept.

use bulkhead_api::RetentionApi;
use bulkhead_model::ErrorKind;
use bulkhead_proto::storage::{RetentionClass, RetentionReport, RetentionRequest, RetentionRule};
use bulkhead_storage::RetentionReports;

use crate::bed::{APP, Bed, DAY_MS, HOUR_MS, NOW_MS, OTHER_APP};

async fn report(bed: &Bed) -> RetentionReport {
    let reports = RetentionReports::new(bed.storage.clone(), bed.clock.clone(), Some(3 * DAY_MS));
    reports.report(RetentionRequest { app_key: "demo#app1".into() }).await.unwrap()
}

fn class<'a>(report: &'a RetentionReport, name: &str) -> &'a RetentionClass {
    report.classes.iter().find(|class| class.name == name).unwrap()
}

#[tokio::test]
async fn a_report_tells_how_much_there_is_how_old_it_is_and_what_goes_next() {
    let bed = Bed::on_folder().await;
    let empty = report(&bed).await;
    assert_eq!(class(&empty, "messages").count.unwrap().entries, 0);
    // The half day in which it is ten o'clock began ten hours ago.
    let oldest_ms = NOW_MS - 10 * HOUR_MS;
    for minute in 0..3 {
        bed.send(APP, ["alice", "bob"], NOW_MS + minute * 60_000).await;
    }
    bed.send_to_group(APP, "g:1", NOW_MS).await;
    bed.send(OTHER_APP, ["alice", "bob"], NOW_MS).await;
    bed.upload(APP).await;
    bed.clock.advance_ms(DAY_MS);
    bed.send_to_group(APP, "g:1", NOW_MS + DAY_MS).await;

    let told = report(&bed).await;
    assert_eq!((told.plan.as_str(), told.keeps_ms, told.now_ms), ("pro", 180 * DAY_MS, NOW_MS + DAY_MS));
    let messages = class(&told, "messages").count.unwrap();
    assert_eq!((messages.entries, messages.rows, messages.next_entries), (3, 5, 2));
    assert_eq!((messages.is_partial, messages.is_estimate, messages.oldest_ms), (false, false, oldest_ms));
    assert_eq!(messages.next_ms, oldest_ms + 12 * HOUR_MS + 180 * DAY_MS + HOUR_MS);
    let files = class(&told, "attachments");
    assert_eq!((files.keeps_ms, files.count.unwrap().bytes), (3 * DAY_MS, 7), "as the setting shortens it");
    let others = [("dedup", RetentionRule::Fixed, 3), ("devices", RetentionRule::Idle, 180)];
    for (name, rule, days) in others {
        let class = class(&told, name);
        assert_eq!((class.rule(), class.keeps_ms, class.count), (rule, days * DAY_MS, None), "{name}");
    }

    // What is told to go next does, not before.
    bed.clock.set_ms(messages.next_ms - 1);
    assert_eq!(bed.sweep().await.channels, 0);
    bed.clock.set_ms(messages.next_ms);
    assert_eq!(bed.retention.sweep().await.unwrap().channels, 3, "two of them this app's");
    assert_eq!(class(&report(&bed).await, "messages").count.unwrap().entries, 1);

    let reports = RetentionReports::new(bed.storage.clone(), bed.clock.clone(), None);
    let none = reports.report(RetentionRequest { app_key: "demo#none".into() }).await;
    assert_eq!(none.unwrap_err().kind(), ErrorKind::AppNotFound);
}

#[tokio::test]
async fn what_is_kept_is_counted_within_limits() {
    let bed = Bed::on_folder().await;
    for number in 0..250 {
        bed.send_to_group(APP, &format!("g:{number}"), NOW_MS).await;
    }
    bed.engine.count();
    let messages = *class(&report(&bed).await, "messages").count.as_ref().unwrap();
    let (calls, rows) = bed.engine.count();
    assert_eq!((messages.entries, messages.rows, messages.is_estimate), (250, 250, true));
    assert!(calls < 130 && rows < 400, "a sample: {calls} calls, {rows} rows");
}
