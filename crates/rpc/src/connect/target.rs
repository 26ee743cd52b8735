use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;

use bulkhead_model::{ErrorKind, Result};
use http::Uri;

/// Most addresses in one setting.
const TARGETS_MAX: usize = 64;

/// A host and a port, as the configuration names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    host: String,
    port: u16,
}

impl Target {
    pub(super) fn into_parts(self) -> (String, u16) {
        (self.host, self.port)
    }

    /// Whether asking again can give something else.
    pub(super) fn is_a_name(&self) -> bool {
        self.host.parse::<std::net::IpAddr>().is_err()
    }
}

/// Reads a list of addresses with commas between them.
pub(super) fn read(addresses: &str, insecure: bool) -> Result<Vec<Target>> {
    let scheme = if insecure { "http" } else { "https" };
    let wrong = |address: &str| {
        ErrorKind::InvalidArgument.with(format!("{address} is no {scheme}://host:port address"))
    };
    let targets: Vec<_> = addresses
        .split(',')
        .map(|address| {
            let uri: Uri = address.trim().parse().map_err(|_| wrong(address))?;
            let (host, port) = (uri.host(), uri.port_u16());
            match (host, port) {
                (Some(host), Some(port))
                    if uri.scheme_str() == Some(scheme)
                        && matches!(uri.path(), "" | "/")
                        && uri.query().is_none()
                        && uri.authority().is_some_and(|authority| !authority.as_str().contains('@')) =>
                {
                    Ok(Target { host: host.trim_matches(['[', ']']).to_owned(), port })
                }
                _ => Err(wrong(address)),
            }
        })
        .collect::<Result<_>>()?;
    if targets.len() > TARGETS_MAX {
        return Err(ErrorKind::InvalidArgument.with("too many addresses for one service"));
    }
    Ok(targets)
}

/// Every address of the targets, each once, in the order of the targets. Fails only when none is known.
pub(super) async fn resolve(targets: &[Target]) -> io::Result<Vec<SocketAddr>> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    let mut failure = None;
    for target in targets {
        match tokio::net::lookup_host((target.host.as_str(), target.port)).await {
            Ok(addresses) => found.extend(addresses.filter(|address| seen.insert(*address))),
            Err(error) => failure = Some(error),
        }
    }
    match failure {
        Some(error) if found.is_empty() => Err(error),
        _ => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(host: &str, port: u16) -> Target {
        Target { host: host.to_owned(), port }
    }

    #[test]
    fn a_list_of_addresses_is_read_in_its_order() {
        let read = read("https://a:1, https://b.c:2,https://[::1]:3/", false).unwrap();
        assert_eq!(read, [target("a", 1), target("b.c", 2), target("::1", 3)]);
        assert_eq!(read.iter().filter(|target| target.is_a_name()).count(), 2);
    }

    #[test]
    fn what_is_no_address_is_refused_and_so_is_the_scheme_of_the_other_kind_of_identity() {
        for wrong in ["", "a:1", "https://a", "http://a:1", "https://a:1,", "https://u@a:1", "https://a:1/x"]
        {
            assert!(read(wrong, false).is_err(), "{wrong}");
        }
        assert!(read("https://a:1", true).is_err());
        assert!(read("http://a:1", true).is_ok());
        let list = |length: usize| vec!["https://a:1"; length].join(",");
        assert!(read(&list(TARGETS_MAX), false).is_ok());
        assert!(read(&list(TARGETS_MAX + 1), false).is_err());
    }
}
