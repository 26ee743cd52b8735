//! What every part of the router shares.

use std::sync::Arc;
use std::time::Duration;

use bulkhead_model::{AppUuid, MessageId, Result, slot_of};
use bulkhead_store::{Mutation, Row, RowKey, SCAN_ROWS_MAX, Scan, Store, WRITE_MUTATIONS_MAX};
use bytes::Bytes;
use tokio::sync::Notify;

use crate::RouterSettings;
use crate::channels::depart::Departures;
use crate::channels::key::ChannelRef;
use crate::dedup::Dedup;
use crate::directory::Directory;
use crate::lane::Lane;
use crate::regain::Regain;
use crate::registry::Register;
use crate::sequence::{Sequencer, timely};
use crate::sessions::Sessions;
use crate::signals::Others;
use crate::slots::{Member, Ownership};

/// How far the clocks of two routers may be apart before a new device is given a message twice.
const CLOCKS_APART_MS: u64 = 30_000;

pub(crate) struct Core {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) directory: Directory,
    pub(crate) sequencer: Arc<Sequencer>,
    pub(crate) ownership: Ownership,
    /// The other routers of the region.
    pub(crate) others: Others,
    /// What they know of this router's sessions; `None` when there is one router.
    pub(crate) register: Option<Arc<Register>>,
    /// Something has changed about who owns which slots: the steward looks now instead of later.
    pub(crate) look_at_slots: Notify,
    pub(crate) sessions: Sessions,
    /// Whose memberships may have changed unheard.
    pub(crate) regain: Regain,
    /// Who leaves rooms because their session ended.
    pub(crate) departures: Arc<Departures>,
    pub(crate) dedup: Dedup,
    pub(crate) lanes: Vec<Arc<Lane>>,
    pub(crate) settings: RouterSettings,
}

impl Core {
    /// This router among the routers of the region.
    pub(crate) fn member(&self) -> &Member {
        &self.sequencer.member
    }

    /// Ids of a slot are above this one: its earlier owners gave none above it.
    pub(crate) fn floor_of(&self, slot: u16) -> MessageId {
        match self.ownership.floor_ms(slot) {
            0 => MessageId(0),
            floor_ms => MessageId::new(floor_ms, slot, MessageId::COUNTER_MAX),
        }
    }

    /// The lane of a slot, by its number.
    pub(crate) fn lane_number(&self, slot: u16) -> usize {
        usize::from(slot) % self.lanes.len()
    }

    /// The lane that owns a channel.
    pub(crate) fn lane_of(&self, app: AppUuid, channel_key: &str) -> &Arc<Lane> {
        &self.lanes[self.lane_number(slot_of(app, channel_key))]
    }

    /// The lane that owns a group or room.
    pub(crate) fn lane_of_channel(&self, key: &ChannelRef) -> &Arc<Lane> {
        self.lane_of(key.app(), key.text())
    }

    /// No message that is not durable yet has an id of an earlier instant, nor will one be given.
    pub(crate) fn settled_before_ms(&self) -> u64 {
        let now_ms = self.sequencer.now_ms();
        self.lanes.iter().map(|lane| lane.writing_since_ms()).fold(now_ms, u64::min)
    }

    /// How much earlier than here another router may think it is, or have begun what is not durable yet.
    pub(crate) fn others_lag_ms(&self) -> u64 {
        if self.member().lease.length().is_some() {
            CLOCKS_APART_MS + self.settings.call_timeout_ms
        } else {
            0
        }
    }

    pub(crate) fn call_timeout(&self) -> Duration {
        Duration::from_millis(self.settings.call_timeout_ms)
    }

    /// The values of any number of rows, in the order of the keys.
    pub(crate) async fn get_many(&self, mut keys: Vec<RowKey>) -> Result<Vec<Option<Bytes>>> {
        let mut values = Vec::with_capacity(keys.len());
        while keys.len() > SCAN_ROWS_MAX {
            let rest = keys.split_off(SCAN_ROWS_MAX);
            values.extend(timely(self.call_timeout(), self.store.get_many(keys)).await?);
            keys = rest;
        }
        if !keys.is_empty() {
            values.extend(timely(self.call_timeout(), self.store.get_many(keys)).await?);
        }
        Ok(values)
    }

    pub(crate) async fn scan(&self, scan: Scan) -> Result<Vec<Row>> {
        timely(self.call_timeout(), self.store.scan(scan)).await
    }

    /// Every row of an ascending scan, page after page, up to `pages_max` pages of [`SCAN_ROWS_MAX`].
    pub(crate) async fn scan_all(&self, mut scan: Scan, pages_max: usize) -> Result<Vec<Row>> {
        scan.limit = SCAN_ROWS_MAX;
        let mut rows = self.scan(scan.clone()).await?;
        for _ in 1..pages_max {
            if rows.is_empty() || rows.len() % SCAN_ROWS_MAX != 0 {
                break;
            }
            // The next possible key is the last one with a zero byte behind it.
            let last = rows.last().map_or(&[][..], |row| &row.clustering[..]);
            scan.from = [last, &[0]].concat().into();
            let page = self.scan(scan.clone()).await?;
            if page.is_empty() {
                break;
            }
            rows.extend(page);
        }
        Ok(rows)
    }

    /// Writes any number of mutations in order; those of one call of the store take effect together.
    pub(crate) async fn write(&self, mutations: Vec<Mutation>) -> Result<()> {
        self.write_until(mutations, None).await
    }

    /// The same; storage refuses what has not come to it by `deadline_ms`, Unix milliseconds.
    pub(crate) async fn write_until(
        &self,
        mut mutations: Vec<Mutation>,
        deadline_ms: Option<u64>,
    ) -> Result<()> {
        loop {
            let rest = mutations.split_off(mutations.len().min(WRITE_MUTATIONS_MAX));
            let write = match deadline_ms {
                None => self.store.write(mutations),
                Some(deadline_ms) => self.store.write_before(mutations, deadline_ms),
            };
            timely(self.call_timeout(), write).await?;
            if rest.is_empty() {
                return Ok(());
            }
            mutations = rest;
        }
    }
}
