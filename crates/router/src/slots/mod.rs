//! Which router owns which slots.
//!
//! Every router has a row in `routers` and renews it; the row is its *lease*. A router acknowledges only while its lease
//! holds, by its own monotonic clock, counted from before the renewal was sent. Whoever has watched the row stand still
//! for as long as a lease, by its own clock, may declare that router gone, which is a compare-and-set on the same row:
//! from then on no renewal of it can succeed. So no two routers ever both acknowledge for a slot, however long one of
//! them was paused and whatever the clocks of the two machines say.
//!
//! Slots are handed out in ranges, each a row of `slots`. A router takes ranges that nobody owns, and gives away what it
//! has too many of; all of them make the same [`plan`], so they agree without talking. Before a range is given away its
//! lanes write what they know and forget it. Ids stay in order across owners because a range carries a floor, and a
//! router that was declared gone left the ceiling that it never passed.

mod lease;
mod member;
mod ownership;
mod plan;
mod rows;
mod steward;

pub(crate) use lease::Lease;
pub(crate) use member::Member;
pub(crate) use ownership::Ownership;
pub(crate) use steward::Steward;

use std::collections::HashSet;

use bulkhead_model::{Result, SLOT_RANGE_COUNT, range_of};

use crate::core::Core;

/// The ids of the routers that live, read now.
pub(crate) async fn living(core: &Core) -> Result<HashSet<String>> {
    let members = rows::members(core).await?.into_iter();
    Ok(members.filter(|(_, member)| !member.record.gone).map(|(id, _)| id).collect())
}

/// A set of ranges, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ranges(u64);

const _: () = assert!(SLOT_RANGE_COUNT as u32 == u64::BITS);

impl Ranges {
    pub(crate) const ALL: Self = Self(u64::MAX);

    pub(crate) fn one(range: u16) -> Self {
        Self(1 << range)
    }

    pub(crate) fn has_slot(self, slot: u16) -> bool {
        self.has(range_of(slot))
    }

    pub(crate) fn has(self, range: u16) -> bool {
        self.0 & (1 << range) != 0
    }

    pub(crate) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }
}
