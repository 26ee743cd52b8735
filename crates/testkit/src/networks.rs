//! The places of regions that run on one machine: a network namespace each, joined by a router that forwards whatever it is
//! given, or, where namespaces cannot be made, a loopback address each.
//!
//! Nothing of this touches the machine's own network: every link and address is made within the namespaces, whose names
//! carry the number of this process, and the addresses are those that are kept for documentation (RFC 5737), so that
//! what leaves a namespace by mistake reaches nothing.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::Capture;

/// What the names of our namespaces begin with; the number of the process follows.
const NAME_PREFIX: &str = "bulkhead-";

/// Where `ip` keeps the names of namespaces.
const NAMES_FOLDER: &str = "/run/netns";

/// The networks of the regions (RFC 5737), without the last number.
const NETWORKS: [[u8; 3]; 3] = [[192, 0, 2], [198, 51, 100], [203, 0, 113]];

/// The last number of the router's address in a network, and of the region's.
const ROUTER: u8 = 1;
const REGION: u8 = 2;

/// What makes a Linux machine a router.
const FORWARD: &str = "/proc/sys/net/ipv4/ip_forward";

/// Where a machine without IPv6 has nothing to switch off. "default" is for links that are made later.
const IPV6: [&str; 2] =
    ["/proc/sys/net/ipv6/conf/all/disable_ipv6", "/proc/sys/net/ipv6/conf/default/disable_ipv6"];

/// The places of up to three regions. Namespaces end when this is dropped, also by a panic.
pub struct Networks {
    places: Vec<Place>,
    /// The namespaces, the router's first; none on loopback addresses.
    namespaces: Vec<Namespace>,
}

struct Place {
    name: String,
    host: Ipv4Addr,
}

impl Networks {
    /// Whether this process may make namespaces; the error says why not. An error of its own is that `ip` is missing for
    /// somebody who may.
    pub fn may_be_joined() -> Result<Result<(), String>> {
        match Command::new("ip").arg("-V").output() {
            Ok(_) => Ok(Namespace::make("probe").map(drop).map_err(|error| format!("{error:#}"))),
            Err(error) if rustix::process::geteuid().is_root() => {
                Err(error).context("network namespaces need `ip` (Debian: iproute2)")
            }
            Err(error) => Ok(Err(format!("ip: {error}"))),
        }
    }

    /// A namespace for each name, and a router between them. A connection to a foreign address reaches it.
    pub fn joined(names: &[&str]) -> Result<Self> {
        ensure!(names.len() <= NETWORKS.len(), "there are {} networks", NETWORKS.len());
        remove_what_others_left();
        let mut networks = Self { places: Vec::new(), namespaces: vec![Namespace::make("router")?] };
        networks.namespaces[0].enter(|| {
            without_ipv6()?;
            fs::write(FORWARD, "1").context(FORWARD)
        })?;
        for (name, network) in names.iter().zip(NETWORKS) {
            let namespace = Namespace::make(name)?;
            join(&networks.namespaces[0], &namespace, network)?;
            networks.namespaces.push(namespace);
            networks.places.push(Place { name: (*name).to_owned(), host: address(network, REGION) });
        }
        Ok(networks)
    }

    /// A loopback address for each name, in the machine's own network.
    pub fn on_loopback(names: &[&str]) -> Self {
        // Of this process, so that two runs do not meet.
        let run = (std::process::id() % 250) as u8;
        let hosts = (61..).map(|second| Ipv4Addr::new(127, second, run, 2));
        let places = names.iter().zip(hosts).map(|(name, host)| Place { name: (*name).to_owned(), host });
        Self { places: places.collect(), namespaces: Vec::new() }
    }

    /// The address of a region.
    ///
    /// # Panics
    ///
    /// When there is no region of this name.
    pub fn host(&self, name: &str) -> Ipv4Addr {
        self.places[self.index(name)].host
    }

    /// Does something in a region's place: sockets that are opened and processes that are started meanwhile are there, and
    /// stay there. Blocks.
    ///
    /// # Panics
    ///
    /// With what `work` panics, and when there is no region of this name.
    pub fn inside<T: Send>(&self, name: &str, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let index = self.index(name);
        match self.namespaces.get(index + 1) {
            Some(namespace) => namespace.enter(work),
            None => work(),
        }
    }

    /// Sees from now on what passes between regions; `None` on loopback addresses.
    pub fn capture(&self) -> Result<Option<Capture>> {
        self.namespaces.first().map(|router| router.enter(Capture::start)).transpose()
    }

    fn index(&self, name: &str) -> usize {
        let found = self.places.iter().position(|place| place.name == name);
        found.unwrap_or_else(|| panic!("no region is called {name}"))
    }
}

/// A namespace that ends with this.
struct Namespace {
    name: String,
}

impl Namespace {
    fn make(name: &str) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{NAME_PREFIX}{}-{number}-{name}", std::process::id());
        ip(&["netns", "add", &name])?;
        Ok(Self { name })
    }

    /// A thread of its own does it, because a thread that has entered does not find back.
    fn enter<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let path = Path::new(NAMES_FOLDER).join(&self.name);
        let link = File::open(&path).with_context(|| path.display().to_string())?;
        let outcome = std::thread::scope(|scope| {
            let entering = scope.spawn(|| {
                move_into_link_name_space(link.as_fd(), Some(LinkNameSpaceType::Network))?;
                work()
            });
            entering.join()
        });
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    fn ip(&self, arguments: &str) -> Result<()> {
        let of_it = ["-n", &self.name].into_iter().chain(arguments.split(' '));
        ip(&of_it.collect::<Vec<_>>())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Its links end with it, and the other ends of them.
        let _ = ip(&["netns", "delete", &self.name]);
    }
}

/// Lays a cable from the router to a region, and tells the region the way to all others.
fn join(router: &Namespace, region: &Namespace, network: [u8; 3]) -> Result<()> {
    region.enter(without_ipv6)?;
    let (gateway, host) = (address(network, ROUTER), address(network, REGION));
    let link = format!("net-{}", network[0]);
    router.ip(&format!("link add {link} type veth peer name router netns {}", region.name))?;
    router.ip(&format!("address add {gateway}/24 dev {link}"))?;
    router.ip(&format!("link set {link} up"))?;
    region.ip("link set lo up")?;
    region.ip(&format!("address add {host}/24 dev router"))?;
    region.ip("link set router up")?;
    for other in NETWORKS.into_iter().filter(|other| *other != network) {
        region.ip(&format!("route add {}/24 via {gateway}", address(other, 0)))?;
    }
    Ok(())
}

/// Its machinery talks by itself, and a capture is to see what the regions do.
fn without_ipv6() -> Result<()> {
    let there = IPV6.into_iter().filter(|path| Path::new(path).exists());
    there.into_iter().try_for_each(|path| fs::write(path, "1").context(path))
}

/// Namespaces of processes that ended without removing them.
fn remove_what_others_left() {
    for entry in fs::read_dir(NAMES_FOLDER).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name.strip_prefix(NAME_PREFIX).and_then(|rest| rest.split('-').next());
        let process = process.and_then(|process| process.parse::<u32>().ok());
        if process.is_some_and(|process| !Path::new("/proc").join(process.to_string()).exists()) {
            drop(Namespace { name });
        }
    }
}

fn address([a, b, c]: [u8; 3], d: u8) -> Ipv4Addr {
    Ipv4Addr::new(a, b, c, d)
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output().context("ip (Debian: iproute2)")?;
    if !output.status.success() {
        bail!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_on_loopback_differ_and_stay_on_loopback() {
        let networks = Networks::on_loopback(&["one", "two", "three"]);
        let hosts = ["one", "two", "three"].map(|name| networks.host(name));
        assert!(hosts.iter().all(Ipv4Addr::is_loopback));
        assert!(hosts[0] != hosts[1] && hosts[1] != hosts[2] && hosts[0] != hosts[2]);
        assert_eq!(networks.inside("two", || Ok(1)).unwrap(), 1);
        assert!(networks.capture().unwrap().is_none());
    }

    #[test]
    fn namespaces_are_gone_when_their_networks_are_and_after_a_panic_too() {
        if let Err(reason) = Networks::may_be_joined().unwrap() {
            println!("without network namespaces there is nothing to remove: {reason}");
            return;
        }
        let names = std::panic::catch_unwind(|| {
            let networks = Networks::joined(&["one", "two"]).unwrap();
            let names: Vec<_> = networks.namespaces.iter().map(|namespace| namespace.name.clone()).collect();
            assert!(names.iter().all(|name| Path::new(NAMES_FOLDER).join(name).exists()));
            std::panic::panic_any(names);
        });
        let names = names.unwrap_err().downcast::<Vec<String>>().unwrap();
        assert_eq!(names.len(), 3);
        assert!(names.iter().all(|name| !Path::new(NAMES_FOLDER).join(name).exists()));
    }
}
