use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bulkhead_model::{Entropy, Error, ErrorKind, Result};
use bulkhead_proto::records::RouterMember;
use bulkhead_store::{Insert, Store};
use bytes::Bytes;
use parking_lot::RwLock;
use prost::Message;
use tokio::sync::Mutex;

use super::Lease;
use super::rows::member_row;
use crate::lane::decode;
use crate::sequence::timely;

/// This router's own row: its lease and the ceiling of its ids. Every change of it renews the lease.
pub(crate) struct Member {
    store: Arc<dyn Store>,
    call_timeout: Duration,
    address: String,
    pub(crate) lease: Arc<Lease>,
    id: RwLock<Arc<str>>,
    ceiling_ms: AtomicU64,
    /// Held while the row is changed.
    row: Mutex<Row>,
}

#[derive(Default)]
struct Row {
    record: RouterMember,
    value: Bytes,
}

impl Member {
    /// A router that has not joined yet. `address` is where gateways reach it.
    pub(crate) fn new(
        store: Arc<dyn Store>,
        call_timeout: Duration,
        lease: Arc<Lease>,
        address: String,
    ) -> Self {
        let id = RwLock::new(Arc::from(""));
        let ceiling_ms = AtomicU64::new(0);
        Self { store, call_timeout, address, lease, id, ceiling_ms, row: Mutex::default() }
    }

    /// The name of this run, or of this run since it joined again.
    pub(crate) fn id(&self) -> Arc<str> {
        self.id.read().clone()
    }

    /// No id of a later millisecond may be given.
    pub(crate) fn ceiling_ms(&self) -> u64 {
        self.ceiling_ms.load(Ordering::Acquire)
    }

    /// Makes a row under a new id. It must not be in already.
    pub(crate) async fn join(&self, entropy: &dyn Entropy, ceiling_ms: u64) -> Result<()> {
        let mut row = self.row.lock().await;
        let id = format!("{:016x}", entropy.next_u64());
        let record = RouterMember { beat: 1, ceiling_ms, address: self.address.clone(), gone: false };
        let value = Bytes::from(record.encode_to_vec());
        let since = Instant::now();
        let insert = Insert { key: member_row(&id), value: value.clone(), expires_in_ms: None };
        let found = timely(self.call_timeout, self.store.insert_if_absent(insert)).await?;
        if found.is_some() {
            return Err(ErrorKind::Conflict.with("another router has this id"));
        }
        *self.id.write() = Arc::from(id);
        *row = Row { record, value };
        self.ceiling_ms.store(ceiling_ms, Ordering::Release);
        self.lease.extend(since);
        Ok(())
    }

    /// Renews the lease. `NotOwner` when another router has declared this one gone; the lease is lost then.
    pub(crate) async fn renew(&self) -> Result<()> {
        let mut row = self.row.lock().await;
        self.change(&mut row, |_| {}).await
    }

    /// Moves the ceiling to `to_ms` unless it is at `wanted_ms` already. `NotOwner` like [`Self::renew`].
    pub(crate) async fn raise(&self, wanted_ms: u64, to_ms: u64) -> Result<()> {
        let mut row = self.row.lock().await;
        if wanted_ms > self.ceiling_ms() {
            self.change(&mut row, |record| record.ceiling_ms = to_ms).await?;
        }
        Ok(())
    }

    /// Gives the lease back. Nothing may be acknowledged afterwards.
    pub(crate) async fn leave(&self, ceiling_ms: u64) -> Result<()> {
        let mut row = self.row.lock().await;
        let left = self.change(&mut row, |record| {
            record.ceiling_ms = ceiling_ms;
            record.gone = true;
        });
        let left = left.await;
        self.lease.lose();
        left
    }

    async fn change(&self, row: &mut Row, edit: impl FnOnce(&mut RouterMember)) -> Result<()> {
        if self.lease.length().is_some() && row.record.gone {
            return Err(gone());
        }
        let mut record = row.record.clone();
        record.beat += 1;
        edit(&mut record);
        let value = Bytes::from(record.encode_to_vec());
        let key = member_row(&self.id());
        let since = Instant::now();
        let change = self.store.compare_and_set(key.clone(), Some(row.value.clone()), value.clone());
        if !timely(self.call_timeout, change).await? {
            // Either this router was declared gone, or an earlier change took effect although its answer was lost.
            let found = timely(self.call_timeout, self.store.get(key)).await?;
            let current: RouterMember = decode(found.clone())?;
            if found.is_none() || current.gone {
                row.record.gone = true;
                self.lease.lose();
                tracing::error!(router = %self.id(), "another router has declared this one gone");
                return Err(gone());
            }
            self.ceiling_ms.store(current.ceiling_ms, Ordering::Release);
            *row = Row { record: current, value: found.unwrap_or_default() };
            return Err(ErrorKind::Unavailable.into());
        }
        self.ceiling_ms.store(record.ceiling_ms, Ordering::Release);
        *row = Row { record, value };
        self.lease.extend(since);
        Ok(())
    }
}

fn gone() -> Error {
    ErrorKind::NotOwner.into()
}
