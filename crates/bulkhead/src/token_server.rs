//! `bulkhead token-server`: a process of the app's own, which is no part of the region.

mod certificates;
mod doors;

use std::path::Path;
use std::sync::Arc;

use bulkhead_chassis::config::{TokenServerConfig, TokenServerLimits};
use bulkhead_chassis::residency::{Residency, ResidencyReport};
use bulkhead_chassis::{Monitor, OsEntropy, Readiness, SystemClock, lifecycle, region_key, telemetry, tls};
use bulkhead_client::{RegionAddress, Rest, Trust};
use bulkhead_model::{Clock, Entropy, ErrorKind};
use bulkhead_store_embedded::{EmbeddedStore, Settings};
use bulkhead_token_server::{AppRegion, Signer, TABLES, TokenServer, TokenServerSettings, UserMap};
use tokio_util::sync::CancellationToken;

use crate::Failure;
use crate::compose::folder_failure;
use certificates::CertificateFiles;
use doors::Doors;

/// What the log and the monitor call this process.
const NAME: &str = "token-server";

/// Runs until told to stop.
pub(crate) async fn run(file: &Path) -> Result<(), Failure> {
    let config = TokenServerConfig::load(file)?;
    telemetry::start_logs(config.log.format, &config.log.filter)?;
    tls::install_provider();
    let metrics = telemetry::start_metrics()?;
    let stop = lifecycle::stop_on_signals().map_err(|error| Failure::io(format!("signals: {error}")))?;
    let (clock, entropy): (Arc<dyn Clock>, Arc<dyn Entropy>) = (Arc::new(SystemClock), Arc::new(OsEntropy));

    let mut files = CertificateFiles::of(&config);
    let (app_id, life_s) = (config.app_id.clone(), config.limits.token_life_s);
    let signer = Signer::new(app_id, &files.first()?, life_s, clock.clone(), entropy.clone());
    let region = Arc::new(AppRegion::new(rest(&config)?, signer.clone()));
    let (store, map) = open_map(&config, clock, entropy).await?;
    let server = TokenServer::new(settings(&config.limits), map, signer.clone(), region.clone());
    let doors = Doors::open(&config.listen).await?;

    let readiness = Readiness::default();
    let monitor_stop = CancellationToken::new();
    if let Some(address) = config.monitor {
        let residency = residency(&config);
        let monitor = Monitor { readiness: readiness.clone(), metrics, residency };
        let listener = crate::listen::listen(address, "monitor.listen").await?;
        tokio::spawn(monitor.serve(listener, monitor_stop.clone()));
    }
    let _monitor = monitor_stop.drop_guard();
    // Also what finds out which certificate the region accepts.
    readiness.depends_on("region", move || {
        let region = region.clone();
        async move { region.look().await }
    });
    tokio::spawn(files.watch(signer));

    readiness.set(true);
    tracing::info!(role = NAME, address = doors.address, "ready");
    let Doors { listener, socket_file, .. } = doors;
    let mut serving = tokio::spawn(server.serve(listener, stop.clone()));
    tokio::select! {
        // First: the listener ends soon after it was told to, and that is no failure.
        biased;
        () = stop.cancelled() => readiness.set(false),
        ended = &mut serving => return Err(Failure::refused(format!("the listener ended: {ended:?}"))),
    }
    let finished = lifecycle::drain_within(config.drain_limit, async {
        let _ = serving.await;
        store.close().await;
    })
    .await;
    drop(socket_file);
    if !finished {
        return Err(Failure::refused("the drain did not finish in time"));
    }
    tracing::info!(role = NAME, "stopped");
    Ok(())
}

fn rest(config: &TokenServerConfig) -> Result<Rest, Failure> {
    let trust = config.rest_ca_file.clone().map_or(Trust::System, Trust::File);
    let address = RegionAddress::new(&config.rest_url, &trust).map_err(|error| {
        let setting =
            if config.rest_ca_file.is_some() { "token_server.rest_ca_file" } else { "token_server.rest_url" };
        Failure::from(error).of_setting(setting)
    })?;
    Ok(Rest::new(&address, &config.app_key)?)
}

/// The map and the store that it stands on, which is closed at the end.
async fn open_map(
    config: &TokenServerConfig,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> Result<(Arc<EmbeddedStore>, UserMap), Failure> {
    let of_key = |failure: Failure| failure.of_setting("token_server.map_key_file");
    let key = region_key::map_key_from_file(&config.map_key_file).map_err(Failure::from).map_err(of_key)?;
    let (folder, region) = (&config.map_dir, config.region);
    let store = EmbeddedStore::open_tables(folder, region, &TABLES, clock.clone(), Settings::default())
        .map_err(|error| folder_failure(&error).of_setting("token_server.map_dir"))?;
    let map = UserMap::open(store.clone(), &key, region, &config.app_id, clock, entropy).await;
    let map = map.map_err(|error| match error.kind() {
        ErrorKind::InvalidArgument => of_key(Failure::usage(error.to_string())),
        _ => Failure::of_storage(&error).of_setting("token_server.map_dir"),
    })?;
    Ok((store, map))
}

fn settings(limits: &TokenServerLimits) -> TokenServerSettings {
    TokenServerSettings {
        token_life_s: limits.token_life_s,
        token_life_s_min: limits.token_life_s_min,
        token_life_s_max: limits.token_life_s_max,
        caller_rate_per_s: limits.caller_rate_per_s,
        connections_max: limits.connections_max,
        body_bytes_max: limits.body_bytes_max,
        request_limit_ms: limits.request_limit_ms,
    }
}

fn residency(config: &TokenServerConfig) -> Residency {
    Residency::new(ResidencyReport {
        region: config.region.name().to_owned(),
        process: NAME.to_owned(),
        identity: None,
        configured: config.configured.clone(),
        dialled: Vec::new(),
    })
}
