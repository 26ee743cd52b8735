//! A whole region in a test: real processes with a folder and ports of their own, which can be stopped, killed and
//! started again on what they left.
//!
//! A test says which [`Composition`] it wants, or takes apps of its own in a [`TestCluster`], and sees the same [`TestRegion`]
//! whichever it is, so that every end-to-end test runs against one process, the roles as separate processes, and a cluster.

mod capture;
mod cassandra;
mod cassandra_jars;
mod certificates;
mod cluster;
mod files;
mod keyspace;
mod links;
mod networks;
mod operator;
mod ports;
mod process;
mod redis;
mod region;
mod roles;
mod s3;

pub use capture::{Capture, Packet};
pub use cassandra::Cassandra;
pub use certificates::Certificates;
pub use cluster::{ClusterOptions, Rows, TestCluster};
pub use files::files_that_contain;
pub use links::Link;
pub use networks::Networks;
pub use ports::free_ports;
pub use process::Process;
pub use redis::{RedisCluster, RedisOptions, RedisServer, RedisTls};
pub use region::{App, Composition, TestRegion, User};
pub use s3::S3Server;
