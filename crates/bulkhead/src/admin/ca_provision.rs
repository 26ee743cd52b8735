use std::path::PathBuf;

use bulkhead_chassis::SystemClock;
use bulkhead_chassis::identity::{Authority, Order};
use bulkhead_model::{Clock, Region};
use bulkhead_rpc::Service;
use clap::Args;

use crate::Failure;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

#[derive(Args)]
pub(super) struct ProvisionArguments {
    /// Folder of the authority; one is made when there is none.
    #[arg(long, value_name = "FOLDER")]
    dir: PathBuf,
    /// Folder in which every service has a folder of its own, so that each can be given to one service alone.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Life of the certificates in days, at most 90.
    #[arg(long, default_value_t = 30)]
    days: u32,
}

/// Issues a certificate for every service, in place of those that are there. `Usage` for an authority of another region.
pub(super) fn run(region: Region, arguments: ProvisionArguments) -> Result<(), Failure> {
    let ProvisionArguments { dir, out, days } = arguments;
    let now_ms = SystemClock.now_ms();
    let authority = if Authority::certificate_file(&dir).exists() {
        Authority::open(&dir)?
    } else {
        Authority::make(&dir, region, now_ms)?
    };
    if authority.region() != region {
        let wrong = format!("{} is the authority of {}, not of {region}", dir.display(), authority.region());
        return Err(Failure::usage(wrong));
    }
    for service in Service::ALL {
        let order = Order {
            service,
            now_ms,
            life_ms: u64::from(days) * DAY_MS,
            hosts: Vec::new(),
            addresses: Vec::new(),
        };
        let issued = authority.issue(&order, &out.join(service.name()), true)?;
        println!("{} for {days} days: {}", issued.name, issued.files.certificate.display());
    }
    Ok(())
}
