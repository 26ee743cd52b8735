//! The token server against a running region: real processes, real sockets.

mod browsers;
mod canary;
mod doors;
mod limits;
mod openapi;
mod outage;
mod refusals;
mod rotation;
mod samples;
mod server;
mod tokens;
mod wire;

use std::future::Future;
use std::path::Path;
use std::time::{Duration, Instant};

use bulkhead_testkit::{Composition, TestRegion};
use tokio::runtime::{Builder, Runtime};

/// The binary under test.
pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_bulkhead"))
}

/// Starts a region in each composition and runs the test on it.
pub(crate) fn in_both_compositions<F>(test: impl Fn(TestRegion) -> F)
where
    F: Future<Output = anyhow::Result<()>>,
{
    for composition in [Composition::OneProcess, Composition::Roles] {
        in_composition(composition, &test);
    }
}

/// The same in one composition.
pub(crate) fn in_composition<F>(composition: Composition, test: impl Fn(TestRegion) -> F)
where
    F: Future<Output = anyhow::Result<()>>,
{
    bulkhead_chassis::tls::install_provider();
    let region = TestRegion::start(binary(), composition, &[])
        .unwrap_or_else(|error| panic!("{composition:?}: {error:#}"));
    runtime().block_on(test(region)).unwrap_or_else(|error| panic!("{composition:?}: {error:#}"));
}

/// Waits until something is so that takes its time.
pub(crate) async fn until<F>(what: &str, is_so: impl Fn() -> F) -> anyhow::Result<()>
where
    F: Future<Output = bool>,
{
    let since = Instant::now();
    while !is_so().await {
        anyhow::ensure!(since.elapsed() < Duration::from_secs(40), "not yet: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// What drives the callers of a test.
pub(crate) fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime starts")
}
