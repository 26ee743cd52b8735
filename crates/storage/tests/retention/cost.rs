//! What a sweep costs follows what it removes, not what stays.

use crate::bed::{APP, Bed, DAY_MS, NOW_MS};

/// Engine calls and rows read of a sweep that removes one channel's half day, while so many channels are kept.
async fn cost_beside(kept: usize, bed: Bed) -> (usize, usize) {
    bed.set_plan(APP, "free").await;
    bed.send(APP, ["alice", "bob"], NOW_MS).await;
    bed.clock.advance_ms(8 * DAY_MS);
    for number in 0..kept {
        let at_ms = NOW_MS + (2 + number as u64 % 6) * DAY_MS;
        bed.send_to_group(APP, &format!("g:{number}"), at_ms).await;
    }
    bed.engine.count();
    assert_eq!(bed.sweep().await.channels, 1);
    bed.engine.count()
}

#[tokio::test]
async fn a_sweep_costs_the_same_however_much_is_kept() {
    let little = cost_beside(1, Bed::on_folder().await).await;
    let much = cost_beside(500, Bed::on_folder().await).await;
    assert_eq!(much, little, "calls and rows");
    assert!(much.0 < 40, "{much:?}");
}

#[tokio::test]
async fn a_sweep_that_finds_nothing_asks_a_handful_of_questions() {
    let bed = Bed::on_folder().await;
    for number in 0..300 {
        bed.send_to_group(APP, &format!("g:{number}"), NOW_MS).await;
    }
    bed.sweep().await;
    bed.engine.count();
    bed.sweep().await;
    let (calls, rows) = bed.engine.count();
    assert!(calls <= 8 && rows <= 8, "{calls} calls, {rows} rows");
}
