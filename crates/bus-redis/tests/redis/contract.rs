//! The contracts of the port, on independent primaries and on a cluster, bare and sealed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bulkhead_bus::contract::{BusFixture, RegistryFixture, run_bus, run_registry};
use bulkhead_bus::{Bus, Registry, SealedRegistry};
use bulkhead_bus_redis::{Layout, RedisBus};
use bulkhead_testkit::{RedisCluster, RedisOptions};

use crate::support::{Member, sealed, sealer, servers, settings, urls};

fn bare(layout: Layout, shards: Vec<String>) -> BusFixture {
    BusFixture {
        attach: Box::new(move |sink| {
            let settings = settings(layout, shards.clone());
            Box::pin(async move { RedisBus::start(settings, sink).await.expect("it starts") as Arc<dyn Bus> })
        }),
        keep: Box::new(()),
    }
}

async fn registry(layout: Layout, shards: Vec<String>, is_sealed: bool) -> RegistryFixture {
    let member = Member::start(settings(layout, shards)).await;
    let inner = member.bus.registry();
    let registry: Arc<dyn Registry> =
        if is_sealed { SealedRegistry::new(sealer(1).await, inner) } else { inner };
    let pass_ms = Box::new(|ms| Box::pin(tokio::time::sleep(Duration::from_millis(ms + 20))) as _);
    RegistryFixture { registry, pass_ms, keep: Box::new(member.bus) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bus_keeps_the_contract_on_primaries() {
    let servers = servers(3);
    run_bus(|| async { bare(Layout::Primaries, urls(&servers)) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sealed_bus_keeps_the_contract_on_primaries() {
    static SEED: AtomicU64 = AtomicU64::new(1);
    let servers = servers(2);
    run_bus(|| async {
        let shards = urls(&servers);
        BusFixture {
            attach: Box::new(move |sink| {
                let settings = settings(Layout::Primaries, shards.clone());
                Box::pin(async move {
                    let sealer = sealer(SEED.fetch_add(1, Ordering::Relaxed)).await;
                    sealed(sealer, settings, sink).await.0 as Arc<dyn Bus>
                })
            }),
            keep: Box::new(()),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bus_and_registry_keep_the_contract_on_a_cluster() {
    let cluster = RedisCluster::start(3, &RedisOptions::default()).expect("the cluster starts");
    // One node is enough to find the others.
    let seed = vec![cluster.nodes[0].url()];
    run_bus(|| async { bare(Layout::Cluster, seed.clone()) }).await;
    run_registry(|| registry(Layout::Cluster, seed.clone(), false)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_registry_keeps_the_contract_on_primaries_bare_and_sealed() {
    let servers = servers(2);
    run_registry(|| registry(Layout::Primaries, urls(&servers), false)).await;
    run_registry(|| registry(Layout::Primaries, urls(&servers), true)).await;
}
