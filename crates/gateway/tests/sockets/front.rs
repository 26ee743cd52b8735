//! What stands before the gateway: proxies that say who the client is.

use std::net::SocketAddr;

use bulkhead_gateway::{ClientAddress, Front, Proxies};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::region::Region;

/// Calls at once, of which one client may make one a second.
const CALLS: usize = 10;

async fn behind(client_address: ClientAddress) -> Region {
    let proxies = Proxies { networks: vec!["127.0.0.0/8".parse().unwrap()], client_address };
    Region::behind(Front { tls: None, proxies }, |settings| settings.address_rate_per_s = 1).await
}

/// Makes calls over one connection that begins with `first`; answers their statuses.
async fn calls(address: SocketAddr, first: &str, headers: &str) -> Vec<String> {
    let call = format!("GET /demo/chat/users HTTP/1.1\r\nHost: chat\r\n{headers}\r\n");
    let last = format!("GET /demo/chat/users HTTP/1.1\r\nHost: chat\r\nConnection: close\r\n{headers}\r\n");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let all = [first, &call.repeat(CALLS - 1), &last].concat();
    stream.write_all(all.as_bytes()).await.unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.unwrap();
    answers
        .match_indices("HTTP/1.1 ")
        .map(|(at, found)| answers[at + found.len()..][..3].to_owned())
        .collect()
}

/// The first of `calls` of one client passes the limit and others do not.
fn is_limited(answers: &[String]) -> bool {
    assert_eq!(answers.len(), CALLS);
    assert_eq!(answers[0], "401", "{answers:?}");
    answers.iter().any(|status| status == "429")
}

#[tokio::test]
async fn limits_count_by_the_client_that_the_proxy_protocol_names() {
    let region = behind(ClientAddress::ProxyProtocol).await;
    for client in ["192.0.2.1", "192.0.2.2"] {
        let header = format!("PROXY TCP4 {client} 10.0.0.1 5000 80\r\n");
        assert!(is_limited(&calls(region.address, &header, "").await), "{client}");
    }
}

#[tokio::test]
async fn a_connection_of_a_proxy_without_its_header_is_closed() {
    let region = behind(ClientAddress::ProxyProtocol).await;
    let mut stream = TcpStream::connect(region.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: chat\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // A reset is as good as an end.
    let _ = stream.read_to_end(&mut answer).await;
    assert!(answer.is_empty());
}

#[tokio::test]
async fn limits_count_by_the_client_that_a_header_names() {
    for (kind, name, before) in [
        (ClientAddress::Forwarded, "Forwarded", "for="),
        (ClientAddress::XForwardedFor, "X-Forwarded-For", ""),
    ] {
        let region = behind(kind).await;
        for client in ["192.0.2.1", "192.0.2.2"] {
            let header = format!("{name}: {before}{client}\r\n");
            assert!(is_limited(&calls(region.address, "", &header).await), "{name} {client}");
        }
    }
}
