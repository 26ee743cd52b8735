use std::time::Duration;

use bulkhead_model::Region;
use zeroize::Zeroizing;

/// How the shards belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Every shard is a primary that knows nothing of the others.
    Primaries,
    /// The shards are where one Redis Cluster (7.0 or newer) is asked for its nodes.
    Cluster,
}

/// Where the shards are and how they are spoken to. Deliberately without `Debug`.
#[derive(Clone)]
pub struct RedisSettings {
    /// The region whose mark every shard has to carry.
    pub region: Region,
    pub layout: Layout,
    /// `redis://host:port`, or `rediss://host:port` for TLS. For [`Layout::Primaries`] every node of the region must have
    /// the same texts, in any order: they decide which slots lie where.
    pub shards: Vec<String>,
    /// Name of the ACL user; `None` for the default user.
    pub user: Option<String>,
    pub password: Option<Zeroizing<String>>,
    /// Certificates (PEM) that the shards' certificates must come from; `None` for those that the system trusts.
    pub tls_ca: Option<Vec<u8>>,
    pub limits: RedisLimits,
}

/// What may wait, and how long.
#[derive(Clone, Copy, Debug)]
pub struct RedisLimits {
    /// How long opening a connection may take.
    pub connect: Duration,
    /// How long the answer to a pipeline, a subscription or a ping may take; then the connection is given up.
    pub answer: Duration,
    /// How often an idle connection is asked whether its other end still lives.
    pub ping: Duration,
    /// Longest pause between two attempts to reach a shard.
    pub retry_max: Duration,
    /// Frames that may wait for one shard; what does not fit is dropped.
    pub frames_max: usize,
    /// Payload bytes of the frames that may wait for one shard.
    pub bytes_max: usize,
}

impl Default for RedisLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            answer: Duration::from_secs(2),
            ping: Duration::from_secs(5),
            retry_max: Duration::from_secs(2),
            frames_max: 65_536,
            bytes_max: 64 * 1024 * 1024,
        }
    }
}
