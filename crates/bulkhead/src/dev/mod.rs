//! `bulkhead dev`: one region, or three closed ones, in one process.

mod apps;
mod file;
mod report;
mod screen;
mod secrets;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bulkhead_chassis::config::LogFormat;
use bulkhead_chassis::region_key::RegionKeyBytes;
use bulkhead_chassis::{OsEntropy, StartError, SystemClock, lifecycle, region_key, telemetry, tls};
use bulkhead_gateway::{ALPN, Front, GatewaySettings, Proxies};
use bulkhead_model::{AppKey, Clock, Entropy, Region};
use tokio::net::TcpListener;

use crate::arguments::{DevArguments, Regions};
use crate::compose::REGION_KEY_FILE;
use crate::listen::{address_of, listen};
use crate::{Failure, RegionInProcess, RegionOptions};

pub(crate) use file::DevFile;
pub(crate) use report::{DevApp, DevRegion, DevUser};

/// How long the regions have for finishing what they do.
const DRAIN_LIMIT: Duration = Duration::from_secs(20);

/// The app that is always there.
const FIRST_APP: &str = "demo#chat";

/// A region that was given its place: its folder and its port.
struct Place {
    region: Region,
    folder: PathBuf,
    listener: TcpListener,
    address: SocketAddr,
    public_url: String,
}

/// Starts the regions, says where they are, and runs until told to stop.
pub(crate) async fn run(arguments: DevArguments) -> Result<(), Failure> {
    telemetry::start_logs(LogFormat::Text, "warn")?;
    let stop = lifecycle::stop_on_signals().map_err(|error| Failure::io(format!("signals: {error}")))?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let entropy: Arc<dyn Entropy> = Arc::new(OsEntropy);
    make_folder(&arguments.data_dir)?;

    let places = take_places(&arguments).await?;
    let addresses: Vec<_> = places.iter().map(|place| (place.region, place.public_url.clone())).collect();
    let mut running = Vec::new();
    let mut reports = Vec::new();
    for place in places {
        let key = find_or_make_key(&place.folder, &*entropy)?;
        let mut gateway = GatewaySettings::new(place.public_url.clone());
        if arguments.without_rate_limits {
            gateway.app_rate_per_s = u32::MAX;
            gateway.address_rate_per_s = u32::MAX;
            gateway.frame_rate_per_s = u32::MAX;
        }
        gateway.homes = addresses.iter().filter(|(other, _)| *other != place.region).cloned().collect();
        let options = RegionOptions {
            region: place.region,
            data_dir: place.folder.clone(),
            region_key: key,
            gateway,
            clock: clock.clone(),
            entropy: entropy.clone(),
        };
        let region = RegionInProcess::start(options).await?;
        let wanted = wanted_apps(&arguments.apps)?;
        let apps = apps::find_or_make(&*region.auth, &place.folder, &wanted, &*entropy).await?;
        apps::warn_of_open_doors(&*region.auth).await?;
        let certificate = match arguments.tls {
            true => Some(tls::local_certificate(&place.folder.join("tls"), place.address.ip())?),
            false => None,
        };
        let tls = certificate
            .as_ref()
            .map(|files| tls::server_config(files, &ALPN))
            .transpose()?
            .map(|(tls, _)| tls);
        region.serve(place.listener, Front { tls, proxies: Proxies::default() });
        reports.push(DevRegion::new(place.region, &place.public_url, apps));
        running.push(region);
    }

    let dev_file = DevFile { regions: reports };
    dev_file.write(&arguments.data_dir)?;
    if arguments.json {
        println!("{}", dev_file.to_json());
    } else {
        print!("{}", screen::render(&dev_file, &arguments, clock.now_ms(), &*entropy)?);
    }

    stop.cancelled().await;
    let drained = lifecycle::drain_within(DRAIN_LIMIT, async {
        for region in running {
            region.drain().await;
        }
    });
    match drained.await {
        true => Ok(()),
        false => Err(Failure::refused("the drain did not finish in time")),
    }
}

/// A new key belongs to a new region only: with data there already, a missing key must be found, not replaced.
fn find_or_make_key(folder: &Path, entropy: &dyn Entropy) -> Result<RegionKeyBytes, Failure> {
    let file = folder.join(REGION_KEY_FILE);
    if !file.exists() && secrets::exist_in(folder) {
        let file = file.display();
        return Err(Failure::usage(format!(
            "{file}: the region key is missing; nothing stored here opens without it"
        )));
    }
    Ok(region_key::from_file_or_new(&file, entropy)?)
}

/// The app that is always there, then the ones asked for.
fn wanted_apps(further: &[AppKey]) -> Result<Vec<AppKey>, Failure> {
    let mut wanted = vec![FIRST_APP.parse()?];
    for app in further {
        if !wanted.contains(app) {
            wanted.push(app.clone());
        }
    }
    Ok(wanted)
}

/// A folder and a port for every region; all ports are taken before anything is written.
async fn take_places(arguments: &DevArguments) -> Result<Vec<Place>, Failure> {
    if !arguments.tls && !arguments.listen.ip().is_loopback() {
        return Err(Failure::usage(format!(
            "--listen {}: beyond this machine nothing goes in the clear; add --tls",
            arguments.listen
        )));
    }
    let mut places = Vec::new();
    for (offset, region) in (0u16..).zip(arguments.regions.list()) {
        let mut address = arguments.listen;
        if address.port() != 0 {
            let port = address.port().checked_add(offset);
            address.set_port(port.ok_or_else(|| Failure::usage("--listen leaves no ports for all regions"))?);
        }
        let listener = listen(address, "--listen").await?;
        let address = address_of(&listener)?;
        let folder = match arguments.regions {
            Regions::All => arguments.data_dir.join(region.name()),
            _ => arguments.data_dir.clone(),
        };
        let scheme = if arguments.tls { "https" } else { "http" };
        let public_url = format!("{scheme}://{}", reachable(address));
        places.push(Place { region: *region, folder, listener, address, public_url });
    }
    for place in &places {
        make_folder(&place.folder)?;
    }
    Ok(places)
}

/// An address that a client on this machine can use.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port())
    } else {
        address
    }
}

/// Makes a folder that only its owner can look into; one that is there stays as it is.
fn make_folder(folder: &Path) -> Result<(), StartError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| StartError::file(folder, &error))
}
