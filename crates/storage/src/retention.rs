//! How long a row is kept when its writer does not say, and which messages are served.

use std::sync::Arc;
use std::time::Duration;

use bulkhead_model::{Clock, MessageId, Plan, Result};
use bulkhead_proto::records::{App, AppName};
use bulkhead_store::{Retention, RowKey, Scope, Store, Table, tables};
use bytes::Bytes;
use moka::sync::Cache;
use prost::Message;

/// How long a plan is remembered before its app is read again: for so long another storage process may go by the plan
/// that was, after a change. The process through which the change is written goes by the new one at once.
const PLAN_CACHE_TIME: Duration = Duration::from_secs(1);

/// Apps whose plans are remembered.
const PLANS_MAX: u64 = 10_000;

/// The plan of an app that has no record (or none that can be read): the longest default, so that nothing is lost early.
const PLAN_DEFAULT: Plan = Plan::Enterprise { days: 180 };

/// How long at least it is remembered how far a member has taken a group, after it has taken something.
const GROUP_PLACE_MS_MIN: u64 = 180 * 24 * 60 * 60 * 1000;

pub(crate) struct Retentions {
    clock: Arc<dyn Clock>,
    plans: Cache<Scope, Plan>,
}

impl Retentions {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let plans = Cache::builder().max_capacity(PLANS_MAX).time_to_live(PLAN_CACHE_TIME).build();
        Self { clock, plans }
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// Milliseconds that a new row lives by itself; `None` until it is removed. `records` reads the rows of apps.
    pub(crate) async fn life_ms(&self, key: &RowKey, records: &impl Store) -> Result<Option<u64>> {
        match key.table.retention {
            // Where a member stands in a group goes with the membership. Nobody looks for it when messages go, so it has
            // an end, later than any message that it could be about.
            Retention::Plan if *key.table == tables::CONVERSATIONS && !is_direct(&key.clustering) => {
                let plan_ms = self.plan_ms(key.scope, records).await?;
                Ok(Some(plan_ms.max(GROUP_PLACE_MS_MIN)))
            }
            retention => Ok(retention.own_life_ms()),
        }
    }

    /// Milliseconds that the plan in force keeps messages.
    pub(crate) async fn plan_ms(&self, scope: Scope, records: &impl Store) -> Result<u64> {
        if let Some(plan) = self.plans.get(&scope) {
            return Ok(plan.retention_ms());
        }
        let plan = plan_of(scope, records).await?;
        self.plans.insert(scope, plan);
        Ok(plan.retention_ms())
    }

    /// The clustering key below which rows of a table are not served to anybody; `None` for tables that have no such bound.
    pub(crate) async fn floor(
        &self,
        table: &Table,
        scope: Scope,
        records: &impl Store,
    ) -> Result<Option<Bytes>> {
        if *table != tables::MESSAGES || scope == Scope::Region {
            return Ok(None);
        }
        // A message's age is the one of its id, which its key is. What is exactly as old as the plan allows is over.
        let from_ms = (self.now_ms() + 1).saturating_sub(self.plan_ms(scope, records).await?);
        Ok(Some(Bytes::copy_from_slice(&MessageId::floor_of(from_ms).0.to_be_bytes())))
    }

    /// Forgets a plan, because an app's record was written.
    pub(crate) fn forget_all(&self) {
        self.plans.invalidate_all();
    }
}

/// Whether a channel key is one of two users.
pub(crate) fn is_direct(channel_key: &[u8]) -> bool {
    channel_key.starts_with(b"d:")
}

async fn plan_of(scope: Scope, records: &impl Store) -> Result<Plan> {
    let Scope::App(app) = scope else { return Ok(PLAN_DEFAULT) };
    let row = |table, partition, clustering| RowKey { table, scope: Scope::Region, partition, clustering };
    let name = row(&tables::APP_UUIDS, Bytes::copy_from_slice(&app.0), Bytes::new());
    let Some(name) = records.get(name).await?.and_then(|bytes| AppName::decode(bytes).ok()) else {
        return Ok(PLAN_DEFAULT);
    };
    let app_key = format!("{}#{}", name.org_name, name.app_name);
    let app = records.get(row(&tables::APPS, Bytes::from_static(b"apps"), Bytes::from(app_key))).await?;
    let plan = app.and_then(|bytes| App::decode(bytes).ok()).and_then(|app| Plan::parse(&app.plan).ok());
    Ok(plan.unwrap_or(PLAN_DEFAULT))
}
