//! What stands before the gateway's listener: TLS of its own, or proxies that it trusts.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use tokio_rustls::rustls::ServerConfig;

/// How clients reach the listener.
#[derive(Clone, Default)]
pub struct Front {
    /// The gateway's own TLS. Without it whoever comes from beyond this machine must be one of the proxies.
    pub tls: Option<Arc<ServerConfig>>,
    pub proxies: Proxies,
}

/// The proxies before a gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    /// Where they come from.
    pub networks: Vec<IpNet>,
    pub client_address: ClientAddress,
}

/// Where a gateway learns the address of a client, which its limits count by. What comes from anybody but a proxy is never
/// asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAddress {
    /// From the connection: proxies count as clients.
    #[default]
    Connection,
    /// From the header `Forwarded` (RFC 7239).
    Forwarded,
    /// From the header `X-Forwarded-For`.
    XForwardedFor,
    /// From a PROXY protocol header, version 1 or 2, at the beginning of each connection.
    ProxyProtocol,
}

impl Front {
    /// Whether what a connection from there carries may be read by nobody on its way: it is TLS, never leaves this machine, or
    /// comes from a proxy.
    pub(crate) fn is_safe(&self, peer: SocketAddr) -> bool {
        self.tls.is_some() || peer.ip().to_canonical().is_loopback() || self.proxies.contain(peer.ip())
    }
}

impl Proxies {
    pub(crate) fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// Whether a connection from there begins with a header of the PROXY protocol.
    pub(crate) fn announce(&self, peer: SocketAddr) -> bool {
        self.client_address == ClientAddress::ProxyProtocol && self.contain(peer.ip())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_the_clear_only_this_machine_and_proxies_are_served() {
        let peer = |text: &str| text.parse::<SocketAddr>().unwrap();
        let mut front = Front::default();
        for (address, is_safe) in
            [("127.0.0.1:1", true), ("[::1]:1", true), ("[::ffff:127.0.0.1]:1", true), ("10.0.0.7:1", false)]
        {
            assert_eq!(front.is_safe(peer(address)), is_safe, "{address}");
        }
        front.proxies.networks = vec!["10.0.0.0/24".parse().unwrap(), "fd00::/8".parse().unwrap()];
        for (address, is_safe) in [
            ("10.0.0.7:1", true),
            ("[::ffff:10.0.0.7]:1", true),
            ("10.0.1.7:1", false),
            ("[fd00::1]:1", true),
            ("[fe80::1]:1", false),
        ] {
            assert_eq!(front.is_safe(peer(address)), is_safe, "{address}");
        }
    }
}
