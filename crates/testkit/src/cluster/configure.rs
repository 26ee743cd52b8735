//! The configuration files of a cluster.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::Result;

use super::{ClusterOptions, NODES};
use crate::links::Links;
use crate::{Certificates, Link, RedisServer, free_ports};

/// Who listens where.
pub(super) struct Places {
    pub(super) host: Ipv4Addr,
    pub(super) gateways: [u16; 2],
    /// In the order of [`NODES`].
    pub(super) monitors: [u16; NODES.len()],
    pub(super) links: Option<PlacedLinks>,
    routers: [u16; 2],
    auth: u16,
    storage: u16,
}

/// The links of a cluster, and what moves their bytes.
pub(super) struct PlacedLinks {
    pub(super) to_routers: [Link; 2],
    /// One for each router.
    pub(super) to_storage: [Link; 2],
    _moving: Links,
}

impl Places {
    pub(super) fn new(options: &ClusterOptions) -> Result<Self> {
        let host = options.host;
        let [router_1, router_2, auth, storage] = free_ports(host)?;
        let gateways = match options.gateway_ports {
            Some(ports) => ports,
            None => free_ports(host)?,
        };
        let links = if options.with_links {
            let links = Links::new()?;
            Some(PlacedLinks {
                to_routers: [links.to(router_1)?, links.to(router_2)?],
                to_storage: [links.to(storage)?, links.to(storage)?],
                _moving: links,
            })
        } else {
            None
        };
        let monitors = free_ports(host)?;
        Ok(Self { host, gateways, monitors, links, routers: [router_1, router_2], auth, storage })
    }

    fn url(&self, port: u16) -> String {
        format!("https://{}:{port}", self.host)
    }

    pub(super) fn auth_url(&self) -> String {
        self.url(self.auth)
    }

    /// Where gateways reach the routers.
    fn router_urls(&self) -> [String; 2] {
        match &self.links {
            Some(links) => links.to_routers.each_ref().map(|link| self.url(link.port())),
            None => self.routers.map(|port| self.url(port)),
        }
    }

    /// Where this node reaches storage.
    fn storage_url(&self, name: &str) -> String {
        match (&self.links, name) {
            (Some(links), "router-1") => self.url(links.to_storage[0].port()),
            (Some(links), "router-2") => self.url(links.to_storage[1].port()),
            _ => self.url(self.storage),
        }
    }
}

/// Issues the certificates and writes a file for each node into `folder`. `rows` is what the storage section says of its engine.
pub(super) fn configure(
    folder: &Path,
    certificates: &Certificates,
    places: &Places,
    shards: &[RedisServer],
    options: &ClusterOptions,
    rows: &str,
) -> Result<()> {
    for role in ["storage", "auth", "router", "gateway"] {
        certificates.issue(role, &[])?;
    }
    let (region, host) = (&options.region, options.host);
    for ((name, role), monitor) in NODES.into_iter().zip(places.monitors) {
        let own = match name {
            "storage" => storage_section(folder, places, options, rows),
            "auth" => format!("[auth]\nlisten = \"{host}:{}\"\n", places.auth),
            "router-1" => router_section(places, 0, shards, options),
            "router-2" => router_section(places, 1, shards, options),
            "gateway-1" => gateway_section(places, 0, options),
            _ => gateway_section(places, 1, options),
        };
        let mut text = format!(
            "region = \"{region}\"\n\n[log]\nfilter = \"info\"\n\n[monitor]\nlisten = \"{host}:{monitor}\"\n\n{own}"
        );
        let routers = places.router_urls().join(",");
        let peers = [("auth", places.auth_url()), ("router", routers), ("storage", places.storage_url(name))];
        for (peer, url) in peers {
            write!(text, "\n[endpoints.{peer}]\nurl = \"{url}\"\nregion = \"{region}\"\n")?;
        }
        write!(text, "\n{}", certificates.section(role))?;
        std::fs::write(folder.join(format!("{name}.toml")), text)?;
    }
    Ok(())
}

fn storage_section(folder: &Path, places: &Places, options: &ClusterOptions, rows: &str) -> String {
    let data = folder.join("data");
    format!(
        "[storage]\nlisten = \"{}:{}\"\ndata_dir = \"{data}\"\nregion_key_file = \"{data}/region.key\"\n{rows}{}\n",
        places.host,
        places.storage,
        options.storage_section,
        data = data.display(),
    )
}

fn router_section(
    places: &Places,
    router: usize,
    shards: &[RedisServer],
    options: &ClusterOptions,
) -> String {
    let shards: Vec<_> = shards.iter().map(|shard| format!("\"{}\"", shard.url())).collect();
    format!(
        "[router]\nlisten = \"{}:{}\"\nadvertise_url = \"{}\"\nlease_ms = {}\n\n\
         [bus]\nkind = \"redis\"\nshards = [{}]\nregion = \"{}\"\nin_the_clear = true\n",
        places.host,
        places.routers[router],
        places.router_urls()[router],
        options.lease_ms,
        shards.join(", "),
        options.region,
    )
}

/// Both gateways are public at the address of the first, as behind a load balancer, in the clear and for their own machine
/// alone. No limit that a test's many users at one
/// address would run into.
fn gateway_section(places: &Places, gateway: usize, options: &ClusterOptions) -> String {
    let (host, [public, _]) = (places.host, places.gateways);
    let homes: String = options.homes.iter().map(|(region, url)| format!("{region} = \"{url}\"\n")).collect();
    format!(
        "[gateway]\nlisten = \"{host}:{}\"\npublic_url = \"http://{host}:{public}\"\n\
         proxies = [\"{host}\"]\napp_rate_per_s = 100000\naddress_rate_per_s = 100000\n\n[homes]\n{homes}",
        places.gateways[gateway],
    )
}
