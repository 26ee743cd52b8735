//! What this process has dialled over gRPC, for whoever has to show where data can go.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bulkhead_model::Region;
use parking_lot::Mutex;

use crate::identity::{Caller, Refusal, Service};

/// Most addresses that are kept; a name server that gives new ones for ever must not fill the memory.
const ADDRESSES_MAX: usize = 4096;

/// One address that was dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialled {
    /// The service that was expected there.
    pub service: Service,
    pub address: SocketAddr,
    /// The region that the other side has proven by its certificate; `None` when it never has.
    pub proven_region: Option<Region>,
    /// Connections that were made.
    pub connected: u64,
    /// Attempts that failed, refusals included.
    pub failed: u64,
    /// Why the newest refused handshake was refused.
    pub refused: Option<Refusal>,
}

/// The log of attempts; clones are the same log.
#[derive(Clone, Default)]
pub(crate) struct DialLog(Arc<Mutex<BTreeMap<(Service, SocketAddr), Dialled>>>);

impl DialLog {
    pub(crate) fn connected(&self, service: Service, address: SocketAddr, peer: Caller) {
        self.change(service, address, |dialled| {
            dialled.connected += 1;
            if let Caller::Certified(name) = peer {
                dialled.proven_region = Some(name.region);
            }
        });
    }

    pub(crate) fn failed(&self, service: Service, address: SocketAddr, refused: Option<Refusal>) {
        self.change(service, address, |dialled| {
            dialled.failed += 1;
            dialled.refused = refused.or(dialled.refused);
        });
    }

    pub(crate) fn list(&self) -> Vec<Dialled> {
        self.0.lock().values().cloned().collect()
    }

    fn change(&self, service: Service, address: SocketAddr, change: impl FnOnce(&mut Dialled)) {
        let mut log = self.0.lock();
        if log.len() >= ADDRESSES_MAX && !log.contains_key(&(service, address)) {
            log.pop_first();
        }
        change(log.entry((service, address)).or_insert(Dialled {
            service,
            address,
            proven_region: None,
            connected: 0,
            failed: 0,
            refused: None,
        }));
    }
}
