//! Connections to the server, plain or with TLS, from as many loopback addresses as it takes.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bulkhead_client::Trust;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::Failure;

/// Connections whose port the system chooses: well below the 28,000 that it lends out for one server.
const LENT_PORTS: usize = 20_000;

/// Ports of one further source address, and the first of them.
const PORTS_PER_SOURCE: usize = 50_000;
const FIRST_PORT: u16 = 10_000;

/// Loopback addresses that are used one after the other, starting at 127.0.0.2.
const SOURCES_MAX: usize = 200;

/// How long a connection may take.
const LIMIT: Duration = Duration::from_secs(20);

/// How to reach the server.
#[derive(Clone)]
pub(super) struct Connector {
    address: SocketAddr,
    tls: Option<TlsConnector>,
}

/// A byte stream to the server.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connector {
    pub(super) fn plain(address: SocketAddr) -> Self {
        Self { address, tls: None }
    }

    /// Every handshake is a full one: sessions are not resumed.
    pub(super) fn tls(address: SocketAddr, trust: &Trust) -> Result<Self, Failure> {
        let mut config = ClientConfig::clone(&*trust.client_config()?);
        config.resumption = Resumption::disabled();
        Ok(Self { address, tls: Some(TlsConnector::from(Arc::new(config))) })
    }

    pub(super) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// The `index`th of the connections that are open at one time.
    pub(super) async fn connect(&self, index: usize) -> io::Result<Stream> {
        timeout(LIMIT, self.connect_now(index)).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    async fn connect_now(&self, index: usize) -> io::Result<Stream> {
        let socket = TcpSocket::new_v4()?;
        if let Some(beyond) = index.checked_sub(LENT_PORTS)
            && self.address.ip().is_loopback()
        {
            // With a port of its own: to search for a free one takes milliseconds when many are in use.
            let source = Ipv4Addr::new(127, 0, 0, 2 + (beyond / PORTS_PER_SOURCE % SOURCES_MAX) as u8);
            let port = FIRST_PORT + (beyond % PORTS_PER_SOURCE) as u16;
            socket.set_reuseaddr(true)?;
            socket.bind(SocketAddr::new(IpAddr::V4(source), port))?;
        }
        let stream = socket.connect(self.address).await?;
        stream.set_nodelay(true)?;
        match &self.tls {
            None => Ok(Stream::Plain(stream)),
            Some(tls) => {
                let stream = tls.connect(ServerName::from(self.address.ip()), stream).await?;
                Ok(Stream::Tls(Box::new(stream)))
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}
