use std::net::Ipv4Addr;

use crate::keyspace;

/// Which region a cluster is, where, and how it is put together.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// Its name.
    pub region: String,
    /// Where everything listens: an address of this machine, or of the network namespace that the caller is in.
    pub host: Ipv4Addr,
    /// The ports for clients; free ones when not set.
    pub gateway_ports: Option<[u16; 2]>,
    /// Names and public addresses of the other regions.
    pub homes: Vec<(String, String)>,
    /// What the storage section says beyond its folder, the region key and its engine, and the sections below it.
    pub storage_section: String,
    /// Where storage keeps its rows.
    pub rows: Rows,
    /// How long a router may be silent, in milliseconds.
    pub lease_ms: u64,
    /// Whether gateways reach routers, and routers storage, over links that a test can cut. On loopback only.
    pub with_links: bool,
}

/// Where the storage of a cluster keeps its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// In the embedded store.
    Embedded,
    /// On a Cassandra of the cluster's own, which the test may kill.
    OwnCassandra,
    /// On a keyspace of the Cassandra that the process's tests share, which is in Singapore.
    SharedCassandra,
}

impl Default for ClusterOptions {
    /// On loopback, with the embedded store, the lease of a region in earnest, and nothing to cut.
    fn default() -> Self {
        Self {
            region: keyspace::REGION.to_owned(),
            host: Ipv4Addr::LOCALHOST,
            gateway_ports: None,
            homes: Vec::new(),
            storage_section: String::new(),
            rows: Rows::Embedded,
            lease_ms: 5000,
            with_links: false,
        }
    }
}
