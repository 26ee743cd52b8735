//! The index of a channel's days.

use std::collections::BTreeSet;

use bulkhead_model::Result;
use bytes::Bytes;

use crate::bind::{Bind, Place};
use crate::bucket::ends_in_ms;
use crate::engine::Engine;
use crate::row::ttl_s;
use crate::statements::IndexStatements;

/// An entry that this process has written, so that it does not write it with every message.
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct Entry {
    scope: Bytes,
    partition: Bytes,
    bucket: i32,
    ends: i32,
}

impl Entry {
    /// The entry of a day of an undivided partition.
    pub(crate) fn of(place: &Place, bucket: i32, ends: i32) -> Self {
        Self { scope: place.scope.clone(), partition: place.partition.clone(), bucket, ends }
    }
}

impl Engine {
    /// Makes days known, each as (day, until when). Together, so that no reader knows of a day and not of an older one.
    pub(crate) async fn register(&self, place: &Place, entries: BTreeSet<(i32, i32)>) -> Result<()> {
        let Some(statements) = self.index(place)? else { return Ok(()) };
        let entry = |(bucket, ends)| Entry::of(place, bucket, ends);
        let missing: Vec<Entry> =
            entries.into_iter().map(entry).filter(|entry| !self.registered.contains_key(entry)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let now_ms = self.clock.now_ms();
        let timestamp = Bind::Long(self.timestamps.reserve(1));
        let bound = missing.iter().map(|entry| {
            let values = vec![
                Bind::Blob(entry.scope.clone()),
                Bind::Blob(entry.partition.clone()),
                Bind::Int(entry.bucket),
                Bind::Int(entry.ends),
                timestamp.clone(),
                Bind::Int(ends_in_ms(entry.ends, now_ms).map_or(0, ttl_s)),
            ];
            (&statements.put, values)
        });
        self.client.apply(bound.collect()).await?;
        for entry in missing {
            self.registered.insert(entry, ());
        }
        Ok(())
    }

    /// The days of a partition that may have rows, from the lowest to the highest of the bounds, both included.
    pub(crate) async fn buckets(&self, place: &Place, lowest: i32, highest: i32) -> Result<Vec<i32>> {
        let mut buckets: Vec<i32> =
            self.entries(place, lowest, highest).await?.into_iter().map(|(bucket, _)| bucket).collect();
        // A day has an entry for each end.
        buckets.dedup();
        Ok(buckets)
    }

    /// The entries of those days, each as (day, until when).
    pub(crate) async fn entries(&self, place: &Place, lowest: i32, highest: i32) -> Result<Vec<(i32, i32)>> {
        let Some(statements) = self.index(place)? else { return Ok(Vec::new()) };
        let values = vec![
            Bind::Blob(place.scope.clone()),
            Bind::Blob(place.partition.clone()),
            Bind::Int(lowest),
            Bind::Int(highest),
        ];
        self.client.rows::<(i32, i32)>(&statements.entries, values).await
    }

    fn index(&self, place: &Place) -> Result<Option<&IndexStatements>> {
        Ok(self.statements.of_name(place.table)?.index.as_ref())
    }
}
