//! The header that a proxy of the transport layer puts before a connection (HAProxy's PROXY protocol, versions 1 and 2).

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use ppp::{HeaderResult, PartialResult, v1, v2};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Largest header that is read, in bytes: one of version 2 with addresses and room for what else proxies tell.
const HEADER_BYTES_MAX: usize = 536;

/// Pause between two looks at a header of which a part is missing.
const PAUSE: Duration = Duration::from_millis(5);

/// Takes the header off the stream and answers the client's address; that of the proxy when the header is for the proxy's
/// own checks. `InvalidData` when there is none. The caller limits the time.
pub(crate) async fn take_header(stream: &mut TcpStream, peer: SocketAddr) -> io::Result<SocketAddr> {
    let mut bytes = [0; HEADER_BYTES_MAX];
    loop {
        let seen = stream.peek(&mut bytes).await?;
        if seen == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let header = HeaderResult::parse(&bytes[..seen]);
        if header.is_incomplete() && seen < HEADER_BYTES_MAX {
            tokio::time::sleep(PAUSE).await;
            continue;
        }
        let (length, client) = read(&header).ok_or(io::ErrorKind::InvalidData)?;
        stream.read_exact(&mut bytes[..length]).await?;
        return Ok(client.unwrap_or(peer));
    }
}

/// The length of a whole header, and the client that it names.
fn read(header: &HeaderResult<'_>) -> Option<(usize, Option<SocketAddr>)> {
    match header {
        HeaderResult::V1(Ok(header)) => {
            let client = match &header.addresses {
                v1::Addresses::Unknown => None,
                v1::Addresses::Tcp4(ip) => Some((ip.source_address, ip.source_port).into()),
                v1::Addresses::Tcp6(ip) => Some((ip.source_address, ip.source_port).into()),
            };
            Some((header.header.len(), client))
        }
        HeaderResult::V2(Ok(header)) => {
            let client = match &header.addresses {
                _ if header.command == v2::Command::Local => None,
                v2::Addresses::IPv4(ip) => Some((ip.source_address, ip.source_port).into()),
                v2::Addresses::IPv6(ip) => Some((ip.source_address, ip.source_port).into()),
                v2::Addresses::Unspecified | v2::Addresses::Unix(_) => None,
            };
            Some((header.len(), client))
        }
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    /// What is read of a connection that begins with these pieces and goes on with "rest".
    async fn taken(pieces: &[&[u8]]) -> io::Result<String> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let mut near = TcpStream::connect(listener.local_addr()?).await?;
        near.set_nodelay(true)?;
        let (mut far, peer) = listener.accept().await?;
        let taking = tokio::spawn(async move {
            let client = take_header(&mut far, peer).await?;
            let mut rest = [0; 4];
            far.read_exact(&mut rest).await?;
            assert_eq!(&rest, b"rest");
            Ok::<_, io::Error>(if client == peer { "the proxy".to_owned() } else { client.to_string() })
        });
        for piece in pieces {
            // The other end may have refused what came before.
            let _ = near.write_all(piece).await;
            tokio::time::sleep(PAUSE).await;
        }
        let _ = near.write_all(b"rest").await;
        taking.await.unwrap()
    }

    #[tokio::test]
    async fn both_versions_name_the_client_and_what_follows_stays() {
        let v1: &[u8] = b"PROXY TCP4 192.0.2.1 10.0.0.1 5000 443\r\n";
        assert_eq!(taken(&[v1]).await.unwrap(), "192.0.2.1:5000");
        assert_eq!(taken(&[&v1[..9], &v1[9..]]).await.unwrap(), "192.0.2.1:5000");
        assert_eq!(taken(&[b"PROXY TCP6 2001:db8::1 ::1 5000 443\r\n"]).await.unwrap(), "[2001:db8::1]:5000");
        assert_eq!(taken(&[b"PROXY UNKNOWN\r\n"]).await.unwrap(), "the proxy");
        let v2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\x0a\0\0\x01\x13\x88\x01\xbb";
        assert_eq!(taken(&[&v2[..20], &v2[20..]]).await.unwrap(), "192.0.2.1:5000");
        let local: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
        assert_eq!(taken(&[local]).await.unwrap(), "the proxy");
    }

    #[tokio::test]
    async fn a_connection_without_a_header_is_refused() {
        for bad in [
            &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
            b"PROXY TCP4 nobody 10.0.0.1 1 2\r\n",
            &[0x16, 3, 1, 2, 0],
        ] {
            assert_eq!(taken(&[bad]).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }
}
