//! One user with devices at both gateways, and so at whatever routers these are attached to.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bulkhead_chassis::{OsEntropy, SystemClock};
use bulkhead_client::{
    Connection, Credential, Event, KickReason, Login, Options, RegionAddress, TokenBuilder, Trust,
};
use bulkhead_model::limits::DEVICES_PER_PLATFORM_MAX;
use bulkhead_model::{AppId, AppKey};
use bulkhead_testkit::TestCluster;
use tokio::sync::mpsc;

/// How long a kick may take on a busy machine.
const KICK_LIMIT: Duration = Duration::from_secs(30);

/// Between two logins: longer than a router takes to tell the others of one.
const PAUSE: Duration = Duration::from_millis(500);

#[test]
fn the_oldest_device_gives_way_at_whatever_gateway_it_is() {
    bulkhead_chassis::tls::install_provider();
    let cluster = TestCluster::start(Path::new(env!("CARGO_BIN_EXE_bulkhead"))).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let outcome = runtime.block_on(take_turns(&cluster));
    if let Err(error) = outcome {
        panic!("{error:#}\n{}", cluster.logs());
    }
}

async fn take_turns(cluster: &TestCluster) -> Result<()> {
    let mut devices = Vec::new();
    for number in 0..DEVICES_PER_PLATFORM_MAX + 4 {
        devices.push(open(cluster, number % 2, &format!("ios_{number}")).await?);
        if let Some(oldest) = number.checked_sub(DEVICES_PER_PLATFORM_MAX) {
            let (_, events) = &mut devices[oldest];
            expect_kick(events).await.with_context(|| format!("device {oldest} after {number}"))?;
        }
        tokio::time::sleep(PAUSE).await;
    }
    for (_, events) in devices.iter_mut().rev().take(DEVICES_PER_PLATFORM_MAX) {
        while let Ok(event) = events.try_recv() {
            ensure!(!matches!(event, Event::Kicked { .. }), "one of the newest was kicked");
        }
    }
    Ok(())
}

async fn open(
    cluster: &TestCluster,
    gateway: usize,
    device: &str,
) -> Result<(Connection, mpsc::Receiver<Event>)> {
    let app = cluster.app();
    let app_id: AppId = app.app_id.parse()?;
    let app_key: AppKey = app.app_key.parse()?;
    let tokens = TokenBuilder::new(&app_id, &app.app_certificate, Arc::new(SystemClock), Arc::new(OsEntropy));
    let login = Login {
        app: app_key,
        user: "bob".to_owned(),
        credential: Credential::Token(tokens.user_token("bob", 3600)?),
        device: Some(device.to_owned()),
    };
    let options = Options { reconnect: None, delivery_receipts: false };
    let address = RegionAddress::new(&cluster.rest_url(gateway), &Trust::default());
    Ok(Connection::open(address?, login, options, &SystemClock, Arc::new(OsEntropy)).await?)
}

async fn expect_kick(events: &mut mpsc::Receiver<Event>) -> Result<()> {
    let kicked = async {
        while let Some(event) = events.recv().await {
            if let Event::Kicked { reason, .. } = event {
                ensure!(reason == KickReason::LoginOnAnotherDevice, "kicked for {reason:?}");
                return Ok(());
            }
        }
        anyhow::bail!("the connection ended without a kick")
    };
    tokio::time::timeout(KICK_LIMIT, kicked).await.context("nobody was kicked")?
}
