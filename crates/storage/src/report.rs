//! What is kept of an app and what goes next, counted within limits.

use std::sync::Arc;

use async_trait::async_trait;
use bulkhead_api::RetentionApi;
use bulkhead_model::{AppUuid, Clock, ErrorKind, Plan, Result};
use bulkhead_proto::records::{App, Sweep};
use bulkhead_proto::storage::{
    RetentionClass, RetentionCount, RetentionReport, RetentionRequest, RetentionRule,
};
use bulkhead_store::{Retention, RowKey, SCAN_ROWS_MAX, Scan, Scope, Store, tables};
use bytes::Bytes;
use prost::Message;

use crate::StorageService;
use crate::attachments::FileId;
use crate::retained::{self, Bucket, Kind};
use crate::sweep::{SETTLING_MS, first_kept};

/// Parts of half days that are looked into for a report.
const BUCKETS_MAX: usize = 1000;

/// Entries that are counted.
const ENTRIES_MAX: usize = 10_000;

/// Entries whose messages or bytes are looked at; of more, so many are a sample.
const SAMPLE: usize = 100;

/// Answers what storage keeps of an app.
pub struct RetentionReports {
    storage: Arc<StorageService>,
    clock: Arc<dyn Clock>,
    /// Milliseconds that attachments are kept at most; `None`: as long as the plan.
    attachments_ms: Option<u64>,
}

impl RetentionReports {
    /// Reports on what a storage service keeps. `attachments_ms` is the setting of its attachments.
    pub fn new(
        storage: Arc<StorageService>,
        clock: Arc<dyn Clock>,
        attachments_ms: Option<u64>,
    ) -> Arc<Self> {
        Arc::new(Self { storage, clock, attachments_ms })
    }

    async fn count(&self, app: AppUuid, kind: Kind, keeps_ms: u64) -> Result<RetentionCount> {
        let buckets = self.storage.engine().scan(Bucket::list(app, kind, None, BUCKETS_MAX)).await?;
        let mut count = RetentionCount { is_partial: buckets.len() == BUCKETS_MAX, ..Default::default() };
        let mut entries: Vec<(Bucket, Bytes)> = Vec::new();
        for row in &buckets {
            let Some(bucket) = Bucket::read(app, kind, &row.clustering) else { continue };
            let limit = SCAN_ROWS_MAX.min(ENTRIES_MAX - entries.len());
            if limit == 0 {
                count.is_partial = true;
                break;
            }
            let found = self.storage.engine().scan(bucket.entries(limit)).await?;
            count.is_partial |= found.len() == limit;
            entries.extend(found.into_iter().map(|row| (bucket, row.clustering)));
        }
        count.entries = entries.len() as u64;
        let Some((oldest, _)) = entries.first() else { return Ok(count) };
        count.oldest_ms = oldest.end_ms() - retained::BUCKET_MS;
        // Over are those before the first one that is kept, an hour after their end.
        count.next_ms = oldest.end_ms() + keeps_ms + SETTLING_MS;
        debug_assert!(first_kept(keeps_ms, count.next_ms) > oldest.number);
        count.next_entries =
            entries.iter().take_while(|(bucket, _)| bucket.number == oldest.number).count() as u64;
        self.sample(&mut count, &entries).await?;
        Ok(count)
    }

    /// Rows and bytes of the entries, or of some spread evenly over them.
    async fn sample(&self, count: &mut RetentionCount, entries: &[(Bucket, Bytes)]) -> Result<()> {
        let step = entries.len().div_ceil(SAMPLE);
        let mut looked_at = 0;
        for (bucket, whose) in entries.iter().step_by(step) {
            looked_at += 1;
            match bucket.kind {
                Kind::Messages => {
                    let scan = Scan {
                        table: &tables::MESSAGES,
                        scope: Scope::App(bucket.app),
                        partition: whose.clone(),
                        from: bucket.begin_id(),
                        to: bucket.end_id(),
                        descending: false,
                        limit: SCAN_ROWS_MAX,
                    };
                    let rows = self.storage.engine().scan(scan).await?.len();
                    count.rows += rows as u64;
                    count.is_estimate |= rows == SCAN_ROWS_MAX;
                }
                Kind::Attachments => {
                    let file = FileId::read(&bucket.app.0, whose)?;
                    count.bytes += self.storage.attachment_bytes(file).await?;
                }
            }
        }
        if looked_at < entries.len() {
            let all = |sampled: u64| sampled * entries.len() as u64 / looked_at as u64;
            (count.rows, count.bytes, count.is_estimate) = (all(count.rows), all(count.bytes), true);
        }
        Ok(())
    }
}

#[async_trait]
impl RetentionApi for RetentionReports {
    async fn report(&self, request: RetentionRequest) -> Result<RetentionReport> {
        let key = RowKey {
            table: &tables::APPS,
            scope: Scope::Region,
            partition: Bytes::from_static(b"apps"),
            clustering: Bytes::from(request.app_key),
        };
        let record = self.storage.get(key).await?.ok_or(ErrorKind::AppNotFound)?;
        let record =
            App::decode(record).map_err(|_| ErrorKind::Internal.with("the record of an app is damaged"))?;
        let app = AppUuid::from_slice(&record.uuid)?;
        let keeps_ms = Plan::parse(&record.plan)?.retention_ms();
        let sweep = self.storage.get(retained::sweep_row(app)).await?;
        let sweep = sweep.and_then(|value| Sweep::decode(value).ok()).unwrap_or_default();
        let sweep_keeps_ms = sweep.keeps_ms.max(keeps_ms);

        let mut classes = Vec::new();
        for kind in Kind::ALL {
            let shortened = |ms: u64| match kind {
                Kind::Messages => ms,
                Kind::Attachments => self.attachments_ms.map_or(ms, |most_ms| most_ms.min(ms)),
            };
            classes.push(RetentionClass {
                name: kind.name().to_owned(),
                rule: RetentionRule::Plan.into(),
                keeps_ms: shortened(keeps_ms),
                count: Some(self.count(app, kind, shortened(sweep_keeps_ms)).await?),
            });
        }
        classes.push(RetentionClass {
            name: tables::CONVERSATIONS.name.to_owned(),
            rule: RetentionRule::Plan.into(),
            keeps_ms,
            count: None,
        });
        for table in tables::ALL {
            let (rule, keeps_ms) = match table.retention {
                Retention::Fixed { ms } => (RetentionRule::Fixed, ms),
                Retention::Idle { ms } => (RetentionRule::Idle, ms),
                Retention::Plan | Retention::Forever => continue,
            };
            classes.push(RetentionClass {
                name: table.name.to_owned(),
                rule: rule.into(),
                keeps_ms,
                count: None,
            });
        }
        Ok(RetentionReport {
            plan: record.plan,
            keeps_ms,
            sweep_keeps_ms,
            swept_ms: sweep.swept_ms,
            classes,
            now_ms: self.clock.now_ms(),
        })
    }
}
