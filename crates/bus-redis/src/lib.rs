//! The bus port on Redis.
//!
//! Topics lie on *shards* by their slot: each shard is a primary of its own, found by rendezvous hash, or a node of one
//! Redis Cluster, whose sharded pub/sub is used. A shard has two connections. The *publisher* sends what waits as one
//! pipeline, and the next one when that is answered, so that batches grow with the load and none is waited for. The
//! *subscriber* keeps the subscriptions of its slots as the holders want them.
//!
//! Neither waits for the other, for another shard, or makes a caller wait: what a shard cannot take is dropped. Whoever
//! drops remembers the slots. A subscriber that lost its connection subscribes again and then tells a gap of all its
//! slots; a publisher that dropped or is in doubt publishes the slots on the shard's gap channel as soon as it can, and
//! every subscriber tells them as a gap.
//!
//! Nothing of a user belongs in plain text here: wrap it in `bulkhead_bus::SealedBus`. What can be seen is a slot and how
//! much is said in it.

mod bus;
mod cluster;
mod connect;
mod core;
mod names;
mod primaries;
mod registry;
mod settings;
mod shard;

pub use bus::RedisBus;
pub use connect::DialledShard;
pub use registry::RedisRegistry;
pub use settings::{Layout, RedisLimits, RedisSettings};
