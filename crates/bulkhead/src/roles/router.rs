use std::path::Path;
use std::sync::{Arc, Mutex};

use bulkhead_bus::BusKeys;
use bulkhead_bus_redis::{DialledShard, RedisBus, RedisSettings};
use bulkhead_chassis::Role;
use bulkhead_chassis::config::RouterLimits;
use bulkhead_chassis::residency::DialledAddress;
use bulkhead_model::{ErrorKind, Result};
use bulkhead_router::{RouterBus, RouterDependencies, RouterService, RouterSettings};
use bulkhead_rpc::RpcServer;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::node::Node;
use crate::Failure;
use crate::bus::{redis_bus, redis_settings};
use crate::listen::address_of;

/// Runs the router until told to stop.
pub(crate) async fn run(file: &Path) -> Result<(), Failure> {
    let (node, listener) = Node::start(Role::Router, file).await?;
    let region = node.config.region;
    let (storage, auth) = (node.storage()?, node.auth()?);
    let address = address(&node, &listener)?;
    let bus_config = node.config.bus.as_ref();
    let redis = bus_config.map(|config| redis_settings(region, config)).transpose()?.flatten();
    let keys = node.bus_keys()?;
    let latest = Mutex::new(None);
    let router = node
        .with_peers(|| async {
            let bus = match redis.clone() {
                Some(redis) => Some(open_bus(&node, redis, keys.clone(), &latest).await?),
                None => None,
            };
            let router = RouterService::start(RouterDependencies {
                region,
                store: storage.clone(),
                auth: auth.clone(),
                clock: node.clock.clone(),
                entropy: node.entropy.clone(),
                address: address.clone(),
                alone: false,
                bus,
                settings: settings(&node.config.router),
            });
            router.await
        })
        .await?;

    if let Some(redis) = latest.into_inner().unwrap_or_default() {
        node.readiness.depends_on("redis", move || std::future::ready(all_there(&redis)));
    }
    node.ready(&listener).await?;
    let stop_serving = CancellationToken::new();
    let server = RpcServer::router(region, router.clone(), stop_serving.clone());
    let mut serving = node.serve(server, listener);
    node.until_stopped(&mut serving).await?;
    node.drain(async {
        // The streams end only when what they carried is answered.
        router.drain().await;
        stop_serving.cancel();
        let _ = serving.await;
    })
    .await
}

/// `latest` becomes the connections that the router was last started with.
async fn open_bus(
    node: &Node,
    redis: RedisSettings,
    keys: Arc<dyn BusKeys>,
    latest: &Mutex<Option<Arc<RedisBus>>>,
) -> Result<RouterBus> {
    let limits = node.config.bus.as_ref().map(|config| &config.limits);
    let bounds = limits.map_or((0, 0), |limits| (limits.receiver_frames_max, limits.receiver_bytes_max));
    let opened = redis_bus(redis, keys, node.clock.clone(), node.entropy.clone(), bounds).await?;
    if let Some(redis) = opened.redis {
        if let Ok(mut latest) = latest.lock() {
            *latest = Some(redis.clone());
        }
        node.residency.add_source(Box::new(move || redis.dialled().into_iter().map(dialled).collect()));
    }
    Ok(RouterBus { bus: opened.bus, events: opened.events, registry: opened.registry })
}

/// `Unavailable` while a shard is away. Its topics are then read from the log.
fn all_there(redis: &RedisBus) -> Result<()> {
    match redis.shards_away().len() {
        0 => Ok(()),
        away => Err(ErrorKind::Unavailable.with(format!("{away} shards of Redis are away"))),
    }
}

fn dialled(shard: DialledShard) -> DialledAddress {
    DialledAddress {
        service: "redis".to_owned(),
        address: shard.address,
        proven_region: shard.proven_region,
        connected: shard.connected,
        failed: shard.failed,
        refused: shard.refused.then(|| "other_region".to_owned()),
    }
}

/// Where gateways reach this router.
fn address(node: &Node, listener: &TcpListener) -> Result<String, Failure> {
    let advertised = &node.config.router.advertise_url;
    if !advertised.is_empty() {
        return Ok(advertised.clone());
    }
    let scheme = if node.identity.is_insecure() { "http" } else { "https" };
    Ok(format!("{scheme}://{}", address_of(listener)?))
}

fn settings(limits: &RouterLimits) -> RouterSettings {
    RouterSettings {
        lanes: limits.lanes,
        queue_messages_max: limits.queue_messages_max,
        batch_messages_max: limits.batch_messages_max,
        cached_conversations_max: limits.cached_conversations_max,
        cached_senders_max: limits.cached_senders_max,
        flush_interval_ms: limits.flush_interval_ms,
        call_timeout_ms: limits.call_timeout_ms,
        lease_ms: limits.lease_ms,
        ..RouterSettings::default()
    }
}
