//! The rows of `routers` and `slots`.

use bulkhead_model::{Result, SLOT_RANGE_COUNT};
use bulkhead_proto::records::{RouterMember, SlotRange};
use bulkhead_store::{RowKey, Scan, Scope, tables};
use bytes::Bytes;

use crate::core::Core;
use crate::lane::decode;

/// Routers of a region, living and gone.
const MEMBERS_MAX: usize = 1000;

const MEMBERS: Bytes = Bytes::from_static(b"routers");

/// The row of a router.
pub(super) fn member_row(id: &str) -> RowKey {
    RowKey {
        table: &tables::ROUTERS,
        scope: Scope::Region,
        partition: MEMBERS,
        clustering: Bytes::copy_from_slice(id.as_bytes()),
    }
}

/// The row of a range.
pub(super) fn range_row(range: u16) -> RowKey {
    RowKey {
        table: &tables::SLOTS,
        scope: Scope::Region,
        partition: Bytes::copy_from_slice(&range.to_be_bytes()),
        clustering: Bytes::new(),
    }
}

/// A row as it was found.
pub(super) struct Found<T> {
    pub(super) record: T,
    /// `None` when there is no row.
    pub(super) value: Option<Bytes>,
}

/// Every router that has a row, by id.
pub(super) async fn members(core: &Core) -> Result<Vec<(String, Found<RouterMember>)>> {
    let scan = Scan {
        table: &tables::ROUTERS,
        scope: Scope::Region,
        partition: MEMBERS,
        from: Bytes::new(),
        to: Bytes::new(),
        descending: false,
        limit: MEMBERS_MAX,
    };
    let rows = core.scan(scan).await?.into_iter();
    rows.map(|row| {
        let id = String::from_utf8_lossy(&row.clustering).into_owned();
        Ok((id, Found { record: decode(Some(row.value.clone()))?, value: Some(row.value) }))
    })
    .collect()
}

/// Every range, in order.
pub(super) async fn ranges(core: &Core) -> Result<Vec<Found<SlotRange>>> {
    let keys = (0..SLOT_RANGE_COUNT).map(range_row).collect();
    let values = core.get_many(keys).await?.into_iter();
    values.map(|value| Ok(Found { record: decode(value.clone())?, value })).collect()
}
