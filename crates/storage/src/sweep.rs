//! What is older than its app's plan allows leaves the engine and the object store.
//!
//! Nobody is served it any more before the sweep comes: this is about that it is gone. A half day is swept when all of it is
//! over, an app by one process at a time, a bounded number of entries in one turn. Everything that the sweep does can be
//! done twice, so a lease that ran out, or a process that died in the middle, costs nothing but the repetition.
//!
//! After a change to a shorter plan the sweep waits for an hour: until no process goes by the longer plan any more, and for
//! an operator who meant another app.

use std::sync::Arc;
use std::time::Duration;

use bulkhead_model::{AppUuid, Channel, Clock, Entropy, MessageId, Result};
use bulkhead_proto::records::{Conversation, Sweep};
use bulkhead_store::{Mutation, RowKey, RowRange, SCAN_ROWS_MAX, Scope, Store, tables};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use prost::Message;
use tokio_util::sync::CancellationToken;

use crate::attachments::FileId;
use crate::retained::{self, Bucket, Kind, number_of};
use crate::{AttachmentService, StorageService};

/// Pause between two sweeps of a region.
const PAUSE: Duration = Duration::from_secs(600);

/// How long after its end a half day waits, in milliseconds: more than any difference between the clocks of a region, and
/// than anything that was under way.
pub(crate) const SETTLING_MS: u64 = 60 * 60 * 1000;

/// How long after a change to a shorter plan it is swept by the longer one, in milliseconds.
const SHORTER_AFTER_MS: u64 = 60 * 60 * 1000;

/// How long a process has an app to itself, in milliseconds.
const LEASE_MS: u64 = 5 * 60 * 1000;

/// Entries that are read, and then removed, together.
const PAGE: usize = 100;

/// Entries of one app that one turn removes; then the next app has its turn, and this one goes on with the next sweep.
const ENTRIES_MAX: usize = 20_000;

/// Entries whose rows are removed at the same time.
const AT_ONCE: usize = 4;

/// Pause after each page, in which others have the engine to themselves.
const PAGE_PAUSE: Duration = Duration::from_millis(20);

/// What a sweep has removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Half days of a channel.
    pub channels: usize,
    pub attachments: usize,
    /// Whether something that is over is still there: a turn has a limit, and another process may be at work.
    pub left: bool,
}

/// Removes what is over. See the module's documentation.
pub struct RetentionService {
    storage: Arc<StorageService>,
    attachments: Arc<AttachmentService>,
    clock: Arc<dyn Clock>,
    /// Tells processes apart.
    id: Bytes,
}

impl RetentionService {
    /// Sweeps what the two services keep.
    pub fn new(
        storage: Arc<StorageService>,
        attachments: Arc<AttachmentService>,
        clock: Arc<dyn Clock>,
        entropy: &dyn Entropy,
    ) -> Arc<Self> {
        let id = Bytes::copy_from_slice(&entropy.next_u64().to_be_bytes());
        Arc::new(Self { storage, attachments, clock, id })
    }

    /// Sweeps from time to time until told to stop.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        loop {
            match stop.run_until_cancelled(self.sweep()).await {
                Some(Ok(swept)) if swept.channels + swept.attachments > 0 => {
                    tracing::info!(swept.channels, swept.attachments, swept.left, "removed what is over");
                }
                Some(Err(error)) => {
                    tracing::warn!(%error, "what is over could not be removed; the next sweep tries again");
                }
                _ => {}
            }
            if stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_none() {
                return;
            }
        }
    }

    /// Sweeps every app once.
    pub async fn sweep(&self) -> Result<Swept> {
        let mut swept = Swept::default();
        let mut from = Bytes::new();
        loop {
            let page = self.storage.scan(retained::apps(from.clone(), SCAN_ROWS_MAX)).await?;
            for row in &page {
                let Ok(app) = AppUuid::from_slice(&row.clustering) else { continue };
                match self.sweep_app(app).await {
                    Ok(one) => swept.add(one),
                    // The others are not to wait for one app whose key is gone, say.
                    Err(error) => {
                        tracing::warn!(%error, app = %app, "what an app has that is over could not be removed");
                        swept.left = true;
                    }
                }
            }
            match page.last() {
                Some(last) if page.len() == SCAN_ROWS_MAX => {
                    from = [&last.clustering[..], &[0]].concat().into()
                }
                _ => return Ok(swept),
            }
        }
    }

    async fn sweep_app(&self, app: AppUuid) -> Result<Swept> {
        let key = retained::sweep_row(app);
        let stored = self.storage.get(key.clone()).await?;
        let before = stored.clone().and_then(|value| Sweep::decode(value).ok()).unwrap_or_default();
        let now_ms = self.clock.now_ms();
        let known = Sweep { held_until_ms: 0, holder: Bytes::new(), ..before.clone() };
        let (mut sweep, keeps_ms) = followed(known.clone(), self.storage.plan_ms(app).await?, now_ms);
        let ends = Kind::ALL.map(|kind| (kind, self.first_kept(kind, keeps_ms, now_ms)));
        let mut is_over = false;
        for (kind, end) in ends {
            is_over |= !self.storage.engine().scan(Bucket::list(app, kind, Some(end), 1)).await?.is_empty();
        }
        if !is_over {
            if sweep != known && before.held_until_ms <= now_ms {
                self.storage.compare_and_set(key, stored, encoded(&sweep)).await?;
            }
            return Ok(Swept::default());
        }
        if before.held_until_ms > now_ms && before.holder != self.id {
            return Ok(Swept { left: true, ..Swept::default() });
        }
        let held =
            encoded(&Sweep { holder: self.id.clone(), held_until_ms: now_ms + LEASE_MS, ..sweep.clone() });
        if !self.storage.compare_and_set(key.clone(), stored, held.clone()).await? {
            return Ok(Swept { left: true, ..Swept::default() });
        }
        let mut swept = Swept::default();
        for (kind, end) in ends {
            swept.add(self.sweep_kind(app, kind, end).await?);
        }
        if !swept.left {
            sweep.swept_ms = now_ms;
        }
        self.storage.compare_and_set(key, Some(held), encoded(&sweep)).await?;
        Ok(swept)
    }

    /// The half day with which begins what an app keeps.
    fn first_kept(&self, kind: Kind, keeps_ms: u64, now_ms: u64) -> u32 {
        let keeps_ms = match kind {
            Kind::Messages => keeps_ms,
            Kind::Attachments => self.attachments.files().shortened(keeps_ms),
        };
        first_kept(keeps_ms, now_ms)
    }

    async fn sweep_kind(&self, app: AppUuid, kind: Kind, end: u32) -> Result<Swept> {
        let mut removed = 0;
        let left = 'turn: loop {
            let buckets = self.storage.engine().scan(Bucket::list(app, kind, Some(end), PAGE)).await?;
            for row in &buckets {
                if removed >= ENTRIES_MAX {
                    break 'turn true;
                }
                if let Some(bucket) = Bucket::read(app, kind, &row.clustering) {
                    removed += self.sweep_bucket(bucket, ENTRIES_MAX - removed).await?;
                    if !self.storage.engine().scan(bucket.entries(1)).await?.is_empty() {
                        break 'turn true;
                    }
                    // Whoever has put something there meanwhile has written the row again, and it stays.
                    self.storage.engine().delete_unchanged(bucket.row(), row.value.clone()).await?;
                }
            }
            if buckets.len() < PAGE {
                break false;
            }
        };
        metrics::counter!("bulkhead_storage_retention_removed_total", "class" => kind.name())
            .increment(removed as u64);
        Ok(match kind {
            Kind::Messages => Swept { channels: removed, attachments: 0, left },
            Kind::Attachments => Swept { channels: 0, attachments: removed, left },
        })
    }

    /// Removes what a part of a half day has, up to a number of entries; answers how many.
    async fn sweep_bucket(&self, bucket: Bucket, entries_max: usize) -> Result<usize> {
        let mut removed = 0;
        while removed < entries_max {
            let page = self.storage.engine().scan(bucket.entries(PAGE.min(entries_max - removed))).await?;
            let Some(last) = page.last() else { break };
            let forgetting: Vec<_> =
                page.iter().map(|row| self.forget(bucket, row.clustering.clone())).collect();
            stream::iter(forgetting).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
            let RowKey { table, scope, partition, .. } = bucket.entry(Bytes::new());
            let to = [&last.clustering[..], &[0]].concat().into();
            let entries = Mutation::DeleteRange { table, scope, partition, from: Bytes::new(), to };
            self.storage.engine().write(vec![entries]).await?;
            removed += page.len();
            tokio::time::sleep(PAGE_PAUSE).await;
        }
        Ok(removed)
    }

    /// Removes what an entry stands for.
    async fn forget(&self, bucket: Bucket, whose: Bytes) -> Result<()> {
        match bucket.kind {
            Kind::Messages => self.forget_messages(bucket, whose).await,
            Kind::Attachments => self.attachments.files().expire(FileId::read(&bucket.app.0, &whose)?).await,
        }
    }

    /// Removes a log up to the end of a half day, and how its users stand to it if nothing newer is there.
    async fn forget_messages(&self, bucket: Bucket, channel_key: Bytes) -> Result<()> {
        let scope = Scope::App(bucket.app);
        let range = RowRange {
            table: &tables::MESSAGES,
            scope,
            partition: channel_key.clone(),
            // From the beginning: what an earlier sweep should have removed goes with it.
            from: Bytes::new(),
            to: bucket.end_id(),
        };
        self.storage.engine().forget_range(range).await?;
        let Ok(Channel::Direct(one, other)) =
            Channel::from_key(std::str::from_utf8(&channel_key).unwrap_or_default())
        else {
            return Ok(());
        };
        let row_of = |user: String| RowKey {
            table: &tables::CONVERSATIONS,
            scope,
            partition: Bytes::from(user),
            clustering: channel_key.clone(),
        };
        let keys = vec![row_of(one), row_of(other)];
        let rows = self.storage.engine().get_many(keys.clone()).await?;
        for (key, sealed) in keys.into_iter().zip(rows) {
            let Some(sealed) = sealed else { continue };
            let row = Conversation::decode(self.storage.open_row(&key, &sealed).await?).unwrap_or_default();
            if MessageId(row.last_id.max(row.taken_id)).unix_ms() < bucket.end_ms() {
                self.storage.engine().delete_unchanged(key, sealed).await?;
            }
        }
        Ok(())
    }
}

impl Swept {
    fn add(&mut self, other: Self) {
        self.channels += other.channels;
        self.attachments += other.attachments;
        self.left |= other.left;
    }
}

/// The half day with which begins what is kept for so long.
pub(crate) fn first_kept(keeps_ms: u64, now_ms: u64) -> u32 {
    number_of(now_ms.saturating_sub(keeps_ms + SETTLING_MS))
}

/// What is known of an app's plan after a look at it, and how long the sweep keeps what the app has.
fn followed(mut sweep: Sweep, plan_ms: u64, now_ms: u64) -> (Sweep, u64) {
    if sweep.keeps_ms <= plan_ms {
        (sweep.keeps_ms, sweep.shorter_since_ms) = (plan_ms, 0);
    } else if sweep.shorter_since_ms == 0 {
        sweep.shorter_since_ms = now_ms;
    } else if now_ms >= sweep.shorter_since_ms + SHORTER_AFTER_MS {
        (sweep.keeps_ms, sweep.shorter_since_ms) = (plan_ms, 0);
    }
    let keeps_ms = sweep.keeps_ms;
    (sweep, keeps_ms)
}

fn encoded(sweep: &Sweep) -> Bytes {
    sweep.encode_to_vec().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shorter_plan_counts_after_an_hour_and_a_longer_one_at_once() {
        let (sweep, keeps) = followed(Sweep::default(), 100, 1000);
        assert_eq!((keeps, sweep.shorter_since_ms), (100, 0));
        let (sweep, keeps) = followed(sweep, 7, 2000);
        assert_eq!((keeps, sweep.shorter_since_ms), (100, 2000));
        let (sweep, keeps) = followed(sweep, 7, 2000 + SHORTER_AFTER_MS - 1);
        assert_eq!(keeps, 100);
        assert_eq!(followed(sweep.clone(), 100, 3000).0.shorter_since_ms, 0, "it was a mistake");
        let (sweep, keeps) = followed(sweep, 7, 2000 + SHORTER_AFTER_MS);
        assert_eq!((keeps, sweep.shorter_since_ms), (7, 0));
        assert_eq!(followed(sweep, 180, 9000).1, 180);
    }
}
