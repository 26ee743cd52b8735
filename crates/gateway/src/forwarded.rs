//! The address of a client behind a proxy, from the headers of its request.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::FORWARDED;

use crate::front::{ClientAddress, Proxies};

/// Most hops that are looked at.
const HOPS_MAX: usize = 16;

/// Where the client of a request is. `peer` is where its connection comes from; only if that is a proxy, headers are read:
/// from the last hop back to the first that is no proxy. What stands before that one the client may have made up.
pub(crate) fn client_of(headers: &HeaderMap, peer: SocketAddr, proxies: &Proxies) -> SocketAddr {
    let read: fn(&str) -> Option<IpAddr> = match proxies.client_address {
        ClientAddress::Forwarded => forwarded_for,
        ClientAddress::XForwardedFor => address_of,
        ClientAddress::Connection | ClientAddress::ProxyProtocol => return peer,
    };
    if !proxies.contain(peer.ip()) {
        return peer;
    }
    let name = if proxies.client_address == ClientAddress::Forwarded {
        FORWARDED.as_str()
    } else {
        "x-forwarded-for"
    };
    let values: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    let hops = values.iter().rev().flat_map(|value| value.rsplit(',')).take(HOPS_MAX);
    let mut client = peer.ip();
    for hop in hops {
        // One that cannot be read hides what is before it.
        let Some(address) = read(hop.trim()) else { break };
        client = address;
        if !proxies.contain(address) {
            break;
        }
    }
    SocketAddr::new(client, 0)
}

/// `for=` of one element of `Forwarded`.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let mut named = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
    address_of(named.next()?.1.trim().trim_matches('"'))
}

/// An address with or without a port; version 6 with a port is in brackets.
fn address_of(text: &str) -> Option<IpAddr> {
    let address = text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    address.or_else(in_brackets).map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn client(kind: ClientAddress, peer: &str, headers: &[(&'static str, &'static str)]) -> String {
        let proxies = Proxies { networks: vec!["10.0.0.0/8".parse().unwrap()], client_address: kind };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        client_of(&map, peer.parse().unwrap(), &proxies).ip().to_string()
    }

    #[test]
    fn a_proxy_is_believed_and_nobody_else() {
        let said = [("forwarded", "for=192.0.2.43"), ("x-forwarded-for", "198.51.100.7")];
        for (kind, from_proxy) in [
            (ClientAddress::Connection, "10.0.0.1"),
            (ClientAddress::ProxyProtocol, "10.0.0.1"),
            (ClientAddress::Forwarded, "192.0.2.43"),
            (ClientAddress::XForwardedFor, "198.51.100.7"),
        ] {
            assert_eq!(client(kind, "10.0.0.1:5", &said), from_proxy, "{kind:?}");
            assert_eq!(client(kind, "203.0.113.9:5", &said), "203.0.113.9", "{kind:?}");
        }
    }

    #[test]
    fn what_a_client_puts_before_the_proxies_hops_is_not_believed() {
        let kind = ClientAddress::XForwardedFor;
        assert_eq!(
            client(kind, "10.0.0.1:5", &[("x-forwarded-for", "1.1.1.1, 192.0.2.1, 10.0.0.2")]),
            "192.0.2.1"
        );
        let two = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "192.0.2.1")];
        assert_eq!(client(kind, "10.0.0.1:5", &two), "192.0.2.1");
        assert_eq!(client(kind, "10.0.0.1:5", &[("x-forwarded-for", "192.0.2.1, nonsense")]), "10.0.0.1");
        assert_eq!(client(kind, "10.0.0.1:5", &[]), "10.0.0.1");
        let kind = ClientAddress::Forwarded;
        for (value, address) in [
            ("for=\"[2001:db8::17]:4711\";proto=https", "2001:db8::17"),
            ("for=\"[2001:db8::17]\"", "2001:db8::17"),
            ("proto=https; FOR=192.0.2.60:80; by=203.0.113.43", "192.0.2.60"),
            ("for=1.1.1.1, for=unknown", "10.0.0.1"),
            ("by=203.0.113.43", "10.0.0.1"),
        ] {
            assert_eq!(client(kind, "10.0.0.1:5", &[("forwarded", value)]), address, "{value}");
        }
    }
}
