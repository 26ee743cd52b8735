//! The engine on a real Apache Cassandra.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

mod bed;
mod contract;
mod keyspace;
mod log;
mod outage;
mod secured;
