//! End to end: real processes, real sockets, real storage. Each test runs against one process, against the roles as separate
//! processes, and in a cluster.

mod canary;
mod cluster;
mod durability;
mod hostile;
mod isolation;
mod login;
mod order;
mod resend;
mod rest;
mod socket;
mod tokens;

use std::future::Future;
use std::path::Path;

use bulkhead_testkit::{Composition, TestRegion};
use tokio::runtime::{Builder, Runtime};

/// Starts a region in each composition, with the apps given, and runs the test on it.
pub(crate) fn in_both_compositions<F>(apps: &[&str], test: impl Fn(TestRegion) -> F)
where
    F: Future<Output = anyhow::Result<()>>,
{
    for composition in [Composition::OneProcess, Composition::Roles] {
        in_composition(composition, apps, &test);
    }
}

/// The same in one composition.
pub(crate) fn in_composition<F>(composition: Composition, apps: &[&str], test: impl Fn(TestRegion) -> F)
where
    F: Future<Output = anyhow::Result<()>>,
{
    bulkhead_chassis::tls::install_provider();
    let region = TestRegion::start(Path::new(env!("CARGO_BIN_EXE_bulkhead")), composition, apps)
        .unwrap_or_else(|error| panic!("{composition:?}: {error:#}"));
    runtime().block_on(test(region)).unwrap_or_else(|error| panic!("{composition:?}: {error:#}"));
}

/// What drives the clients of a test.
pub(crate) fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime starts")
}
