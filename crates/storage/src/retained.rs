//! What an app has of each half day, for whatever ends with its plan: the rows of `retained`.
//!
//! An entry is written before what it stands for, once for a channel and half day, and remembered by the process. So the
//! sweep reads which half days are over and what is in them, and never what is kept.

use std::collections::HashSet;

use bulkhead_model::{AppUuid, MESSAGE_EPOCH_MS, MessageId};
use bulkhead_store::{Mutation, Put, RowKey, Scan, Scope, tables};
use bytes::Bytes;
use moka::sync::Cache;

/// The unit in which things go, in milliseconds. Two of them are a day of the log on CQL. Half a day and not a whole one, so
/// that nothing stays for a whole day after its time.
pub(crate) const BUCKET_MS: u64 = 12 * 60 * 60 * 1000;

/// Parts of a half day, so that no partition of a large app gets too large.
const PARTS: u8 = 16;

/// Half days before the present one of which a process remembers what it has noted. They ended less than a day ago, and no
/// plan is shorter than a day.
const RECENT: u32 = 2;

/// Entries that are remembered as written.
const REMEMBERED_MAX: u64 = 200_000;

/// What the entries of a half day stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Channels, by their keys.
    Messages,
    /// Attachments, by their UUIDs.
    Attachments,
}

/// A part of a half day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Bucket {
    pub(crate) app: AppUuid,
    pub(crate) kind: Kind,
    /// Half days since 2020.
    pub(crate) number: u32,
    part: u8,
}

/// Whatever is remembered.
#[derive(PartialEq, Eq, Hash)]
enum Known {
    App(AppUuid),
    Bucket(Bucket),
    Entry(Bucket, Bytes),
}

/// The entries that this process has written.
pub(crate) struct Retained {
    known: Cache<Known, ()>,
}

/// Entries that are about to be written.
#[derive(Default)]
pub(crate) struct Notes {
    known: HashSet<Known>,
    rows: Vec<Mutation>,
}

impl Notes {
    /// The rows that are to be written before what they stand for.
    pub(crate) fn take_rows(&mut self) -> Vec<Mutation> {
        std::mem::take(&mut self.rows)
    }
}

impl Kind {
    pub(crate) const ALL: [Self; 2] = [Kind::Messages, Kind::Attachments];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Messages => "messages",
            Kind::Attachments => "attachments",
        }
    }
}

impl Bucket {
    /// Where something of an instant stands.
    pub(crate) fn of(app: AppUuid, kind: Kind, unix_ms: u64, whose: &[u8]) -> Self {
        let mixed = whose.iter().fold(0u8, |mixed, byte| mixed.wrapping_mul(31).wrapping_add(*byte));
        Self { app, kind, number: number_of(unix_ms), part: mixed % PARTS }
    }

    /// Reads the clustering key of a row of [`Bucket::list`] back.
    pub(crate) fn read(app: AppUuid, kind: Kind, clustering: &[u8]) -> Option<Self> {
        let (number, part) = clustering.split_first_chunk()?;
        let &[part] = part else { return None };
        Some(Self { app, kind, number: u32::from_be_bytes(*number), part })
    }

    /// The instant at which it is over, in Unix milliseconds.
    pub(crate) fn end_ms(&self) -> u64 {
        MESSAGE_EPOCH_MS + (u64::from(self.number) + 1) * BUCKET_MS
    }

    /// The lowest id of a message in it.
    pub(crate) fn begin_id(&self) -> Bytes {
        Bytes::copy_from_slice(&MessageId::floor_of(self.end_ms() - BUCKET_MS).0.to_be_bytes())
    }

    /// The lowest id of a message after it.
    pub(crate) fn end_id(&self) -> Bytes {
        Bytes::copy_from_slice(&MessageId::floor_of(self.end_ms()).0.to_be_bytes())
    }

    /// Its row in the list of the app's half days.
    pub(crate) fn row(&self) -> RowKey {
        let clustering = [&self.number.to_be_bytes()[..], &[self.part]].concat();
        RowKey {
            table: &tables::RETAINED,
            scope: Scope::App(self.app),
            partition: Bytes::from_static(self.kind.name().as_bytes()),
            clustering: clustering.into(),
        }
    }

    /// The row of an entry.
    pub(crate) fn entry(&self, whose: Bytes) -> RowKey {
        let name = self.row();
        RowKey {
            partition: [&name.partition[..], &name.clustering[..]].concat().into(),
            clustering: whose,
            ..name
        }
    }

    /// Its entries.
    pub(crate) fn entries(&self, limit: usize) -> Scan {
        let RowKey { table, scope, partition, .. } = self.entry(Bytes::new());
        Scan { table, scope, partition, from: Bytes::new(), to: Bytes::new(), descending: false, limit }
    }

    /// The half days that an app has something of, from the oldest on, before the one of that number.
    pub(crate) fn list(app: AppUuid, kind: Kind, before: Option<u32>, limit: usize) -> Scan {
        Scan {
            table: &tables::RETAINED,
            scope: Scope::App(app),
            partition: Bytes::from_static(kind.name().as_bytes()),
            from: Bytes::new(),
            to: before.map_or_else(Bytes::new, |number| Bytes::copy_from_slice(&number.to_be_bytes())),
            descending: false,
            limit,
        }
    }
}

/// The half day that an instant is in.
pub(crate) fn number_of(unix_ms: u64) -> u32 {
    u32::try_from(unix_ms.saturating_sub(MESSAGE_EPOCH_MS) / BUCKET_MS).unwrap_or(u32::MAX)
}

/// The apps that have anything, by UUID.
pub(crate) fn apps(from: Bytes, limit: usize) -> Scan {
    let RowKey { table, scope, partition, .. } = app_row(AppUuid([0; 16]));
    Scan { table, scope, partition, from, to: Bytes::new(), descending: false, limit }
}

/// Where it stands how far the sweep of an app has come.
pub(crate) fn sweep_row(app: AppUuid) -> RowKey {
    RowKey {
        table: &tables::RETAINED,
        scope: Scope::Region,
        partition: [b"sweep", &app.0[..]].concat().into(),
        clustering: Bytes::new(),
    }
}

impl Retained {
    pub(crate) fn new() -> Self {
        Self { known: Cache::new(REMEMBERED_MAX) }
    }

    /// Adds what has to be written before something of that instant is.
    pub(crate) fn note(&self, bucket: Bucket, whose: &Bytes, now_ms: u64, notes: &mut Notes) {
        let rows = [
            (Known::Entry(bucket, whose.clone()), bucket.entry(whose.clone())),
            (Known::Bucket(bucket), bucket.row()),
            (Known::App(bucket.app), app_row(bucket.app)),
        ];
        // Not of half days that may be swept: what stands there can be removed by others.
        let is_remembered = bucket.number >= number_of(now_ms).saturating_sub(RECENT);
        for (known, row) in rows {
            let is_known = is_remembered && self.known.contains_key(&known);
            if is_known || !notes.known.insert(known) {
                // Whoever wrote an entry has written what leads to it.
                return;
            }
            notes.rows.push(Mutation::Put(Put { key: row, value: Bytes::new(), expires_in_ms: None }));
        }
    }

    /// Remembers what was written.
    pub(crate) fn written(&self, notes: Notes) {
        for known in notes.known {
            self.known.insert(known, ());
        }
    }
}

fn app_row(app: AppUuid) -> RowKey {
    RowKey {
        table: &tables::RETAINED,
        scope: Scope::Region,
        partition: Bytes::from_static(b"apps"),
        clustering: Bytes::copy_from_slice(&app.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: AppUuid = AppUuid([1; 16]);

    #[test]
    fn half_days_are_halves_of_days_and_their_keys_are_in_the_order_of_time() {
        let midnight = MESSAGE_EPOCH_MS + 400 * 2 * BUCKET_MS;
        for (at_ms, number) in [(midnight - 1, 799), (midnight, 800), (midnight + BUCKET_MS, 801)] {
            let bucket = Bucket::of(APP, Kind::Messages, at_ms, b"d:alice:bob");
            assert_eq!(bucket.number, number);
            assert!(bucket.end_ms() > at_ms && bucket.end_ms() - BUCKET_MS <= at_ms);
            assert_eq!(Bucket::read(APP, Kind::Messages, &bucket.row().clustering), Some(bucket));
        }
        assert!(
            Bucket::list(APP, Kind::Messages, Some(800), 1).to
                > Bucket::of(APP, Kind::Messages, midnight - 1, b"x").row().clustering
        );
    }

    #[test]
    fn an_entry_is_written_once_unless_it_may_be_swept() {
        let retained = Retained::new();
        let now_ms = MESSAGE_EPOCH_MS + 1000 * BUCKET_MS;
        let count = |at_ms, whose: &'static [u8]| {
            let mut notes = Notes::default();
            let bucket = Bucket::of(APP, Kind::Messages, at_ms, whose);
            for _ in 0..2 {
                retained.note(bucket, &Bytes::from_static(whose), now_ms, &mut notes);
            }
            let rows = notes.take_rows();
            retained.written(notes);
            rows.len()
        };
        assert_eq!(count(now_ms, b"one"), 3, "the app, the half day and the channel");
        assert_eq!(count(now_ms, b"one"), 0);
        assert_eq!(count(now_ms + BUCKET_MS, b"one"), 2, "the half day and the channel");
        let old_ms = now_ms - 3 * BUCKET_MS;
        assert_eq!([count(old_ms, b"one"), count(old_ms, b"one")], [3, 3]);
    }
}
