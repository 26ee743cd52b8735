//! The engine on a real Apache Cassandra.

mod bed;
mod contract;
mod keyspace;
mod log;
mod outage;
