//! Which node of a Redis Cluster has which slots, and what happens when that changes.

mod follow;
mod layout;

pub(crate) use follow::follow;

use bulkhead_bus::SlotSet;
use bulkhead_model::{ErrorKind, Result};

use crate::connect::{Connector, query};

/// Asks the addresses one after the other for the nodes of their cluster and our slots on each.
pub(crate) async fn discover(connector: &Connector, addresses: &[String]) -> Result<Vec<(String, SlotSet)>> {
    let mut last = ErrorKind::InvalidArgument.with("bus.shards: must name a node of the cluster");
    for address in addresses {
        let asked = async {
            let mut connection = connector.open(address, None, None).await?;
            let answer = query(&mut connection, &layout::question(), 1).await;
            answer.map_err(|failed| failed.of(address))
        };
        match asked.await {
            Ok(answer) => match layout::read(&answer, address) {
                Some(homes) if !homes.is_empty() => return Ok(homes),
                _ => last = ErrorKind::Unavailable.with(format!("bus.shards: {address} has no cluster yet")),
            },
            Err(error) => last = error,
        }
    }
    Err(last)
}
