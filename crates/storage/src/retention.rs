//! How long a row is kept when its writer does not say.

use std::time::Duration;

use bulkhead_model::{Plan, Result};
use bulkhead_proto::records::{App, AppName};
use bulkhead_store::{Retention, RowKey, Scope, Store, Table, tables};
use bytes::Bytes;
use moka::sync::Cache;
use prost::Message;

/// How long a plan is remembered before its app is read again.
const PLAN_CACHE_TIME: Duration = Duration::from_secs(10);

/// Apps whose plans are remembered.
const PLANS_MAX: u64 = 10_000;

/// The plan of an app that has no record (or none that can be read): the longest default, so that nothing is lost early.
const PLAN_DEFAULT: Plan = Plan::Enterprise { days: 180 };

pub(crate) struct Retentions {
    plans: Cache<Scope, Plan>,
}

impl Retentions {
    pub(crate) fn new() -> Self {
        Self { plans: Cache::builder().max_capacity(PLANS_MAX).time_to_live(PLAN_CACHE_TIME).build() }
    }

    /// Milliseconds that a new row of `table` lives; `None` for ever. `records` reads the rows of apps.
    pub(crate) async fn life_ms(
        &self,
        table: &Table,
        scope: Scope,
        records: &impl Store,
    ) -> Result<Option<u64>> {
        match table.retention {
            Retention::Forever => Ok(None),
            Retention::Fixed { ms } => Ok(Some(ms)),
            Retention::Plan => {
                if let Some(plan) = self.plans.get(&scope) {
                    return Ok(Some(plan.retention_ms()));
                }
                let plan = plan_of(scope, records).await?;
                self.plans.insert(scope, plan);
                Ok(Some(plan.retention_ms()))
            }
        }
    }

    /// Forgets a plan, because an app's record was written.
    pub(crate) fn forget_all(&self) {
        self.plans.invalidate_all();
    }
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
