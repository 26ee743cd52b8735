//! The bus of a router: within the process, or sealed on Redis.

use std::sync::Arc;
use std::time::Duration;

use bulkhead_bus::{
    Bus, BusKeys, BusReceiver, LocalHub, LocalRegistry, Registry, SealedBus, SealedRegistry, Sealer, queue,
};
use bulkhead_bus_redis::{Layout, RedisBus, RedisLimits, RedisSettings};
use bulkhead_chassis::config::{BusConfig, BusKind};
use bulkhead_chassis::read_private_text;
use bulkhead_model::{Clock, Entropy, Region, Result};

use crate::Failure;

/// What a router knows of the others.
pub struct RouterBus {
    pub bus: Arc<dyn Bus>,
    /// What the bus brings.
    pub events: BusReceiver,
    pub registry: Arc<dyn Registry>,
    /// The connections below, for reports of what was dialled; `None` within a process.
    pub redis: Option<Arc<RedisBus>>,
}

/// A bus and a registry within the process, for a region with one router.
pub fn local_bus(clock: Arc<dyn Clock>, frames_max: usize, bytes_max: usize) -> RouterBus {
    let (sink, events) = queue(frames_max, bytes_max);
    RouterBus { bus: LocalHub::new().attach(sink), events, registry: LocalRegistry::new(clock), redis: None }
}

/// Where the shards are, with the secrets that the configuration names; `None` for a bus within the process. `Usage` and
/// `Io` for files that do not fit or cannot be read.
pub fn redis_settings(region: Region, config: &BusConfig) -> Result<Option<RedisSettings>, Failure> {
    let layout = match config.kind {
        BusKind::Local => return Ok(None),
        BusKind::Redis => Layout::Primaries,
        BusKind::RedisCluster => Layout::Cluster,
    };
    let (user, password) = match &config.user {
        None => (None, None),
        Some((user, file)) => (Some(user.clone()), Some(read_private_text(file)?)),
    };
    let tls_ca = config.tls_ca_file.as_deref().map(|file| {
        std::fs::read(file)
            .map_err(|error| Failure::io(format!("bus.tls_ca_file: {}: {error}", file.display())))
    });
    let limits = &config.limits;
    Ok(Some(RedisSettings {
        region,
        layout,
        shards: config.shards.clone(),
        user,
        password,
        tls_ca: tls_ca.transpose()?,
        limits: RedisLimits {
            connect: Duration::from_millis(limits.connect_limit_ms),
            answer: Duration::from_millis(limits.answer_limit_ms),
            ping: Duration::from_millis(limits.ping_interval_ms),
            retry_max: Duration::from_millis(limits.retry_pause_ms_max),
            frames_max: limits.shard_frames_max,
            bytes_max: limits.shard_bytes_max,
        },
    }))
}

/// A sealed bus and registry on Redis, with keys that storage hands out. `Unavailable` and `Timeout` while a shard or
/// storage does not answer; `InvalidArgument` for what does not fit, naming the setting.
pub async fn redis_bus(
    settings: RedisSettings,
    keys: Arc<dyn BusKeys>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    (frames_max, bytes_max): (usize, usize),
) -> Result<RouterBus> {
    let (sink, events) = queue(frames_max, bytes_max);
    let sealer = Sealer::start(settings.region, keys, clock, entropy).await?;
    let mut redis = None;
    let build = |opening| {
        let redis = &mut redis;
        async move {
            let bus = RedisBus::start(settings, opening).await?;
            *redis = Some(bus.clone());
            Ok(bus as Arc<dyn Bus>)
        }
    };
    let bus = SealedBus::new(sealer.clone(), sink, build).await?;
    let below = redis.expect("the sealed bus was built on it");
    let registry = SealedRegistry::new(sealer, below.registry());
    Ok(RouterBus { bus, events, registry, redis: Some(below) })
}
