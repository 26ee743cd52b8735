//! The storage port on ScyllaDB or Apache Cassandra (CQL).
//!
//! A row of the port is a row of a table of the same name, its value one cell. Reads and writes are at `LOCAL_QUORUM`;
//! lightweight transactions are made only where the port says compare-and-set. No node outside the region's data center
//! is spoken to, and a keyspace that is another region's, or is kept elsewhere too, is not opened.
//!
//! [`migrate`] makes keyspace, region mark and tables; [`CqlStore::connect`] only checks them.

mod bind;
mod bucket;
mod client;
mod conditional;
mod connect;
mod engine;
mod failure;
mod forget;
mod index;
mod mark;
mod migrate;
mod read;
mod row;
mod schema;
mod settings;
mod statements;
mod timestamps;
mod walk;
mod write;

pub use engine::CqlStore;
pub use failure::OpenError;
pub use migrate::{Migration, migrate};
pub use settings::{CqlSettings, Credentials};
