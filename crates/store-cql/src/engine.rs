//! Opening a keyspace, and the port itself.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bulkhead_model::{Clock, Result};
use bulkhead_store::{Insert, Mutation, Row, RowKey, RowRange, Scan, Store};
use bytes::Bytes;
use moka::sync::Cache;
use scylla::errors::{ExecutionError, PrepareError};
use tokio::task::JoinHandle;

use crate::client::Client;
use crate::conditional::{self, RowLocks};
use crate::connect::{Purpose, connect, is_scylla};
use crate::failure::unavailable;
use crate::index::Entry;
use crate::schema::{MARK_TABLE, VERSION};
use crate::statements::Statements;
use crate::timestamps::Timestamps;
use crate::{CqlSettings, OpenError, forget, mark, read, schema, walk, write};

/// Index entries that are remembered as written.
const REGISTERED_MAX: u64 = 200_000;

/// How often the database's clock is asked for.
const CLOCK_INTERVAL: Duration = Duration::from_secs(10);

/// Questions each time; the answer that was under way for the shortest time says most.
const CLOCK_QUESTIONS: usize = 4;

/// Rows of one partition that ScyllaDB reads by key in one statement, unless an operator raised
/// `max_clustering_key_restrictions_per_query`; above it they come from several states.
const SCYLLA_KEYS_AT_ONCE: usize = 100;

/// The storage port on a keyspace of ScyllaDB or Apache Cassandra. Values are stored as they come: sealing is the storage
/// service's.
pub struct CqlStore {
    engine: Arc<Engine>,
    call_timeout: Duration,
    following: JoinHandle<()>,
}

/// What every call works with.
pub(crate) struct Engine {
    pub(crate) client: Client,
    pub(crate) statements: Statements,
    pub(crate) timestamps: Timestamps,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) locks: RowLocks,
    pub(crate) registered: Cache<Entry, ()>,
    /// Rows of one partition that one statement reads by key.
    pub(crate) keys_at_once: usize,
}

impl CqlStore {
    /// Connects to the region's data center and checks that the keyspace is this region's, is kept nowhere else and has
    /// the schema of this version. Makes and changes nothing: that is [`crate::migrate`]'s.
    pub async fn connect(settings: &CqlSettings, clock: Arc<dyn Clock>) -> Result<Arc<Self>, OpenError> {
        let session = connect(settings, Purpose::Rows).await?;
        let not_migrated = || OpenError::NotMigrated { keyspace: settings.keyspace.clone() };
        let found = mark::find(&session, settings).await?.ok_or_else(not_migrated)?;
        found.check(settings)?;
        if !found.has(MARK_TABLE) {
            return Err(not_migrated());
        }
        let mark = mark::read(&session, settings).await?.ok_or_else(not_migrated)?;
        mark.check(settings)?;
        if mark.schema_version < VERSION || !schema::names().all(|table| found.has(&table)) {
            return Err(not_migrated());
        }
        let keys_at_once = if is_scylla(&session) { SCYLLA_KEYS_AT_ONCE } else { usize::MAX };
        let prepared = |error: PrepareError| OpenError::unreachable(&settings.contact_points, &error);
        let client = Client::new(session).await.map_err(prepared)?;
        let statements = Statements::prepare(client.session(), &settings.keyspace).await.map_err(prepared)?;
        let asked = |error: ExecutionError| OpenError::of(&settings.contact_points, &error);
        let (clock_us, at) = client.node_time().await.map_err(asked)?;
        let engine = Arc::new(Engine {
            client,
            statements,
            timestamps: Timestamps::new(clock_us, at),
            clock,
            locks: RowLocks::new(),
            registered: Cache::new(REGISTERED_MAX),
            keys_at_once,
        });
        let following = tokio::spawn(follow(engine.clone()));
        Ok(Arc::new(Self { engine, call_timeout: settings.call_timeout, following }))
    }

    /// The database's nodes that this store speaks to, and whether it is connected to each now. Nodes of other data centers are
    /// not among them.
    pub fn nodes(&self) -> Vec<(SocketAddr, bool)> {
        let state = self.engine.client.session().get_cluster_state();
        let enabled = state.get_nodes_info().iter().filter(|node| node.is_enabled());
        enabled
            .map(|node| (SocketAddr::new(node.address.ip(), node.address.port()), node.is_connected()))
            .collect()
    }

    /// The limit of a call, whatever it consists of. What was under way then may still happen, with the timestamps that
    /// it was given: it cannot hide a later write.
    async fn within<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let done = tokio::time::timeout(self.call_timeout, call).await.unwrap_or_else(|_| Err(unavailable()));
        if done.as_ref().is_err_and(|error| error.kind() == unavailable().kind()) {
            metrics::counter!("bulkhead_store_cql_unavailable_total").increment(1);
        }
        done
    }
}

impl Drop for CqlStore {
    fn drop(&mut self) {
        self.following.abort();
    }
}

#[async_trait]
impl Store for CqlStore {
    async fn write(&self, mutations: Vec<Mutation>) -> Result<()> {
        self.within(write::write(&self.engine, mutations, None)).await
    }

    async fn write_before(&self, mutations: Vec<Mutation>, deadline_ms: u64) -> Result<()> {
        self.within(write::write(&self.engine, mutations, Some(deadline_ms))).await
    }

    async fn insert_if_absent(&self, row: Insert) -> Result<Option<Bytes>> {
        self.within(conditional::insert_if_absent(&self.engine, row)).await
    }

    async fn compare_and_set(&self, key: RowKey, expected: Option<Bytes>, value: Bytes) -> Result<bool> {
        self.within(conditional::compare_and_set(&self.engine, key, expected, value)).await
    }

    async fn get_many(&self, keys: Vec<RowKey>) -> Result<Vec<Option<Bytes>>> {
        self.within(read::get_many(&self.engine, &keys)).await
    }

    async fn scan(&self, scan: Scan) -> Result<Vec<Row>> {
        self.within(walk::scan(&self.engine, scan)).await
    }
}

#[async_trait]
impl bulkhead_store::Engine for CqlStore {
    async fn forget_range(&self, range: RowRange) -> Result<()> {
        self.within(forget::forget_range(&self.engine, range)).await
    }

    async fn delete_unchanged(&self, key: RowKey, value: Bytes) -> Result<()> {
        self.within(forget::delete_unchanged(&self.engine, key, value)).await
    }
}

/// Keeps the timestamps at the database's clock.
async fn follow(engine: Arc<Engine>) {
    let mut pause = CLOCK_INTERVAL / 10;
    loop {
        let mut best: Option<(i64, std::time::Instant)> = None;
        for _ in 0..CLOCK_QUESTIONS {
            let Ok((clock_us, at)) = engine.client.node_time().await else { break };
            let is_later = best.is_none_or(|(best_us, best_at)| {
                clock_us > best_us.saturating_add(at.duration_since(best_at).as_micros() as i64)
            });
            if is_later {
                best = Some((clock_us, at));
            }
        }
        if let Some((clock_us, at)) = best {
            engine.timestamps.follow(clock_us, at);
        }
        tokio::time::sleep(pause).await;
        pause = CLOCK_INTERVAL;
    }
}
