use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bulkhead_model::{ErrorKind, Result, SLOT_RANGE_COUNT, range_of};
use bulkhead_proto::router::SlotMap;
use parking_lot::RwLock;

use super::Ranges;

/// The ranges that this router owns now.
pub(crate) struct Ownership {
    ranges: AtomicU64,
    /// By range: no id of an earlier owner is of a later millisecond.
    floors_ms: Vec<AtomicU64>,
    map: RwLock<Arc<SlotMap>>,
}

impl Ownership {
    pub(crate) fn new() -> Self {
        Self {
            ranges: AtomicU64::new(0),
            floors_ms: (0..SLOT_RANGE_COUNT).map(|_| AtomicU64::new(0)).collect(),
            map: RwLock::default(),
        }
    }

    pub(crate) fn ranges(&self) -> Ranges {
        Ranges(self.ranges.load(Ordering::SeqCst))
    }

    pub(crate) fn owns(&self, slot: u16) -> bool {
        self.ranges().has_slot(slot)
    }

    /// `NotOwner` when another router owns the slot.
    pub(crate) fn check(&self, slot: u16) -> Result<()> {
        if self.owns(slot) { Ok(()) } else { Err(ErrorKind::NotOwner.into()) }
    }

    /// Ids of the slot are of a later millisecond than this.
    pub(crate) fn floor_ms(&self, slot: u16) -> u64 {
        self.floors_ms[usize::from(range_of(slot))].load(Ordering::SeqCst)
    }

    pub(super) fn floor_ms_of(&self, range: usize) -> u64 {
        self.floors_ms[range].load(Ordering::SeqCst)
    }

    pub(super) fn acquire(&self, range: u16, floor_ms: u64) {
        self.floors_ms[usize::from(range)].fetch_max(floor_ms, Ordering::SeqCst);
        self.ranges.fetch_or(Ranges::one(range).0, Ordering::SeqCst);
    }

    pub(super) fn give_up(&self, ranges: Ranges) {
        self.ranges.fetch_and(!ranges.0, Ordering::SeqCst);
    }

    /// Who owns what, as this router last saw it.
    pub(crate) fn map(&self) -> Arc<SlotMap> {
        self.map.read().clone()
    }

    pub(super) fn set_map(&self, map: SlotMap) {
        *self.map.write() = Arc::new(map);
    }
}
