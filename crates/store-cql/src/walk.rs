//! Scans, also over the days of a channel.
//!
//! A page is right when it has no gap: a reader that goes on behind its last row must not have missed one. Rows of
//! a channel come in the order of their keys, so a day that is over gets none, and such days are read in any order and
//! several at once. The days that may still get rows (today, and around midnight a second one) are read from the newest
//! to the oldest: whatever was there before a row that was seen is then seen too.

use bulkhead_model::{ErrorKind, Result};
use bulkhead_store::{Row, SCAN_ROWS_MAX, Scan};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::bind::Place;
use crate::bucket::{bucket_range, is_bucketed, is_settled};
use crate::engine::Engine;
use crate::read::{Range, range};
use crate::row::{check_clustering, check_partition};

/// Days that are read at the same time, at most; a walk begins with one and doubles.
const DAYS_AT_ONCE_MAX: usize = 16;

/// The rows of a partition within bounds.
pub(crate) async fn scan(engine: &Engine, scan: Scan) -> Result<Vec<Row>> {
    if scan.limit == 0 || scan.limit > SCAN_ROWS_MAX {
        return Err(ErrorKind::InvalidArgument.with("a scan reads 1-1000 rows"));
    }
    check_partition(&scan.partition)?;
    check_clustering(&scan.from)?;
    check_clustering(&scan.to)?;
    engine.statements.of(scan.table)?;
    if !scan.to.is_empty() && scan.from >= scan.to {
        return Ok(Vec::new());
    }
    let place = Place::undivided(scan.table, scan.scope, &scan.partition);
    let bounds = Range { from: scan.from, to: scan.to, descending: scan.descending };
    if !is_bucketed(scan.table) {
        return range(engine, &place, &bounds, scan.limit).await;
    }
    let (lowest, highest) = bucket_range(&bounds.from, &bounds.to);
    let days = engine.buckets(&place, lowest, highest).await?;
    let now_ms = engine.clock.now_ms();
    let open_from = days.partition_point(|day| is_settled(*day, now_ms));
    let (settled, open) = days.split_at(open_from);

    let mut walk = Walk { engine, place, bounds, limit: scan.limit, found: Vec::new() };
    if scan.descending {
        walk.open_days(open).await?;
        walk.settled_days(settled.iter().rev().copied().collect()).await?;
    } else {
        walk.settled_days(settled.to_vec()).await?;
        walk.open_days(open).await?;
    }
    Ok(walk.found)
}

struct Walk<'a> {
    engine: &'a Engine,
    place: Place,
    bounds: Range,
    limit: usize,
    found: Vec<Row>,
}

impl Walk<'_> {
    fn wanted(&self) -> usize {
        self.limit - self.found.len()
    }

    async fn day(&self, day: i32, limit: usize) -> Result<Vec<Row>> {
        let place = Place { bucket: Some(day), ..self.place.clone() };
        range(self.engine, &place, &self.bounds, limit).await
    }

    /// Days in the order of the walk.
    async fn settled_days(&mut self, days: Vec<i32>) -> Result<()> {
        let mut days = &days[..];
        let mut at_once = 1;
        while self.wanted() > 0 && !days.is_empty() {
            let (part, rest) = days.split_at(at_once.min(days.len()));
            let wanted = self.wanted();
            let reading: Vec<_> = part.iter().map(|day| self.day(*day, wanted)).collect();
            let read: Vec<Vec<Row>> = stream::iter(reading).buffered(at_once).try_collect().await?;
            self.found.extend(read.into_iter().flatten().take(wanted));
            days = rest;
            at_once = (at_once * 2).min(DAYS_AT_ONCE_MAX);
        }
        Ok(())
    }

    /// Days from the oldest to the newest, read the other way round.
    async fn open_days(&mut self, days: &[i32]) -> Result<()> {
        let wanted = self.wanted();
        let mut read = Vec::with_capacity(days.len());
        for day in days.iter().rev() {
            let have: usize = read.iter().map(Vec::len).sum();
            if wanted == 0 || (self.bounds.descending && have >= wanted) {
                break;
            }
            read.push(self.day(*day, wanted).await?);
        }
        if !self.bounds.descending {
            read.reverse();
        }
        self.found.extend(read.into_iter().flatten().take(wanted));
        Ok(())
    }
}
