//! The bus and registry contracts on the implementations within one process, bare and sealed.

use std::sync::Arc;

use async_trait::async_trait;
use bulkhead_bus::contract::{BusFixture, RegistryFixture, run_bus, run_registry};
use bulkhead_bus::{
    Bus, BusKey, BusKeys, LocalHub, LocalRegistry, Registry, SealedBus, SealedRegistry, Sealer,
};
use bulkhead_model::{ManualClock, Region, Result, SeededEntropy};
use zeroize::Zeroizing;

const NOW_MS: u64 = 1_800_000_000_000;

struct FixedKeys;

#[async_trait]
impl BusKeys for FixedKeys {
    async fn hour_key(&self, hour: u64) -> Result<BusKey> {
        let mut key = [3; 32];
        key[..8].copy_from_slice(&hour.to_be_bytes());
        Ok(BusKey::new(Zeroizing::new(key)))
    }

    async fn naming_key(&self) -> Result<BusKey> {
        Ok(BusKey::new(Zeroizing::new([4; 32])))
    }
}

async fn sealer(clock: Arc<ManualClock>) -> Arc<Sealer> {
    let entropy = Arc::new(SeededEntropy::new(1));
    Sealer::start(Region::Frankfurt, Arc::new(FixedKeys), clock, entropy).await.expect("the keys are there")
}

async fn bare_bus() -> BusFixture {
    let hub = LocalHub::new();
    BusFixture {
        attach: Box::new(move |sink| {
            let bus: Arc<dyn Bus> = hub.attach(sink);
            Box::pin(async { bus })
        }),
        keep: Box::new(()),
    }
}

async fn sealed_bus() -> BusFixture {
    let hub = LocalHub::new();
    BusFixture {
        attach: Box::new(move |sink| {
            let hub = hub.clone();
            Box::pin(async move {
                let sealer = sealer(Arc::new(ManualClock::at(NOW_MS))).await;
                let build = |opening| async move { Ok(hub.attach(opening) as Arc<dyn Bus>) };
                SealedBus::new(sealer, sink, build).await.expect("the bus is built") as Arc<dyn Bus>
            })
        }),
        keep: Box::new(()),
    }
}

fn with_clock(registry: Arc<dyn Registry>, clock: Arc<ManualClock>) -> RegistryFixture {
    let pass_ms = Box::new(move |ms| {
        clock.advance_ms(ms);
        Box::pin(std::future::ready(())) as _
    });
    RegistryFixture { registry, pass_ms, keep: Box::new(()) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_local_bus_keeps_the_contract() {
    run_bus(bare_bus).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sealed_bus_keeps_the_contract() {
    run_bus(sealed_bus).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_local_registry_keeps_the_contract() {
    run_registry(|| async {
        let clock = Arc::new(ManualClock::at(NOW_MS));
        with_clock(LocalRegistry::new(clock.clone()), clock)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sealed_registry_keeps_the_contract() {
    run_registry(|| async {
        let clock = Arc::new(ManualClock::at(NOW_MS));
        let inner = LocalRegistry::new(clock.clone());
        with_clock(SealedRegistry::new(sealer(clock.clone()).await, inner), clock)
    })
    .await;
}
