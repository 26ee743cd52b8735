use std::net::IpAddr;
use std::path::PathBuf;

use bulkhead_chassis::SystemClock;
use bulkhead_chassis::identity::{Authority, Order};
use bulkhead_model::{Clock, ErrorKind};
use bulkhead_rpc::Service;
use clap::{Args, Subcommand};
use serde_json::json;

use super::ReachArguments;
use super::ca_provision::{self, ProvisionArguments};
use crate::Failure;

const HOUR_MS: u64 = 60 * 60 * 1000;

#[derive(Subcommand)]
pub(super) enum CaCommand {
    /// Makes the authority of the region that --region names. Its key never leaves the folder.
    Init {
        /// Folder for ca.pem and ca.key; made when it is missing.
        #[arg(long, value_name = "FOLDER")]
        dir: PathBuf,
    },
    /// Issues certificates for every service of the region that --region names, and makes the authority when there is
    /// none: all that the nodes of one machine need.
    Provision(ProvisionArguments),
    /// Issues a short-lived certificate for one service of the authority's region.
    Issue(IssueArguments),
}

#[derive(Args)]
pub(super) struct IssueArguments {
    /// Folder of the authority.
    #[arg(long, value_name = "FOLDER")]
    dir: PathBuf,
    /// "gateway", "auth", "router", "storage" or "console" (which is also what this command line is).
    #[arg(long, value_parser = read_service)]
    service: Service,
    /// Life in hours; 24 unless given, at most 90 days.
    #[arg(long, conflicts_with = "days")]
    hours: Option<u32>,
    /// Life in days, at most 90.
    #[arg(long)]
    days: Option<u32>,
    /// A further host name; can be repeated. Services do not look at it.
    #[arg(long = "dns", value_name = "NAME")]
    hosts: Vec<String>,
    /// A further address; can be repeated. Services do not look at it.
    #[arg(long = "ip", value_name = "ADDRESS")]
    addresses: Vec<IpAddr>,
    /// Folder for <service>.pem, <service>.key and a copy of ca.pem; made when it is missing.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Takes the place of the certificate that is there; a running node uses it within seconds.
    #[arg(long)]
    replace: bool,
}

/// Makes an authority or a certificate, and says what was made.
pub(super) fn run(reach: &ReachArguments, command: CaCommand) -> Result<(), Failure> {
    let now_ms = SystemClock.now_ms();
    match command {
        CaCommand::Init { dir } => {
            let authority = Authority::make(&dir, reach.region, now_ms)?;
            let (region, certificate) = (authority.region(), Authority::certificate_file(&dir));
            let key = Authority::key_file(&dir);
            if reach.json {
                println!(
                    "{}",
                    json!({ "region": region.name(), "ca_file": certificate, "ca_key_file": key })
                );
            } else {
                println!("Authority of {region}");
                println!("  certificate  {} (give it to every node of the region)", certificate.display());
                println!("  key          {} (keep it offline; whoever has it is the region)", key.display());
            }
        }
        CaCommand::Provision(arguments) => ca_provision::run(reach.region, arguments)?,
        CaCommand::Issue(arguments) => {
            let hours = match (arguments.hours, arguments.days) {
                (Some(hours), _) => u64::from(hours),
                (None, Some(days)) => u64::from(days) * 24,
                (None, None) => 24,
            };
            let order = Order {
                service: arguments.service,
                now_ms,
                life_ms: hours * HOUR_MS,
                hosts: arguments.hosts,
                addresses: arguments.addresses,
            };
            let authority = Authority::open(&arguments.dir)?;
            let issued = authority.issue(&order, &arguments.out, arguments.replace)?;
            let files = &issued.files;
            if reach.json {
                println!(
                    "{}",
                    json!({
                        "name": issued.name.to_string(),
                        "ca_file": files.authority,
                        "certificate_file": files.certificate,
                        "key_file": files.key,
                        "expires_ms": issued.expires_ms,
                    })
                );
            } else {
                println!("{} for {hours} h", issued.name);
                println!("  identity.ca_file           {}", files.authority.display());
                println!("  identity.certificate_file  {}", files.certificate.display());
                println!("  identity.key_file          {}", files.key.display());
            }
        }
    }
    Ok(())
}

fn read_service(name: &str) -> bulkhead_model::Result<Service> {
    Service::from_name(name).ok_or_else(|| {
        let names = Service::ALL.map(Service::name).join(", ");
        ErrorKind::InvalidArgument.with(format!("the services are {names}"))
    })
}
