//! Frames on a TLS connection of their own (docs/private-transport.md), as a client.

use std::io;
use std::sync::Arc;

use bulkhead_msync::{TRANSPORT_ALPN, TransportError, TransportFrame};
use bytes::{Bytes, BytesMut};
use rustls::AlertDescription;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::socket::FRAME_BYTES_MAX;
use crate::{ClientError, RegionAddress};

/// Close code for a client that goes (RFC 6455 §7.4.1).
const NORMAL: u16 = 1000;

pub(super) struct FramesSocket {
    stream: TlsStream<TcpStream>,
    /// What came and is no whole frame yet.
    read: BytesMut,
    /// What has not been written yet.
    unwritten: BytesMut,
}

impl FramesSocket {
    /// `None` when the server, or a proxy before it, does not know the transport.
    pub(super) async fn connect(region: &RegionAddress) -> Result<Option<Self>, ClientError> {
        let failed = |error: io::Error| ClientError::Connection(error.to_string());
        let (host, port) = region.host_and_port()?;
        let name = ServerName::try_from(host.clone())
            .map_err(|_| ClientError::Invalid(format!("{host} is no name of a server")))?;
        let stream = TcpStream::connect((host.as_str(), port)).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let mut tls = rustls::ClientConfig::clone(&region.tls());
        tls.alpn_protocols = vec![TRANSPORT_ALPN.to_vec()];
        let stream = match TlsConnector::from(Arc::new(tls)).connect(name, stream).await {
            Ok(stream) => stream,
            Err(error) if is_unknown_protocol(&error) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let is_agreed = stream.get_ref().1.alpn_protocol() == Some(TRANSPORT_ALPN);
        Ok(is_agreed.then(|| Self { stream, read: BytesMut::new(), unwritten: BytesMut::new() }))
    }

    pub(super) async fn send(&mut self, frame: Bytes) -> io::Result<()> {
        TransportFrame::Message(frame).encode(&mut self.unwritten);
        self.write_out().await
    }

    /// The next MSYNC frame. Nothing is lost when it is dropped before it is ready.
    pub(super) async fn next(&mut self) -> Result<Bytes, ClientError> {
        let lost = |error: io::Error| ClientError::Connection(error.to_string());
        loop {
            match TransportFrame::decode(&mut self.read, FRAME_BYTES_MAX) {
                Ok(Some(TransportFrame::Message(frame))) => return Ok(frame),
                Ok(Some(TransportFrame::Ping(payload))) => {
                    TransportFrame::Pong(payload).encode(&mut self.unwritten);
                }
                Ok(Some(TransportFrame::Pong(_))) => {}
                Ok(Some(TransportFrame::Close(_))) => return Err(closed()),
                Ok(None) => {
                    self.write_out().await.map_err(lost)?;
                    if self.stream.read_buf(&mut self.read).await.map_err(lost)? == 0 {
                        return Err(closed());
                    }
                }
                Err(TransportError::TooLarge) => {
                    return Err(ClientError::Malformed("a frame that is too large"));
                }
                Err(TransportError::Malformed) => return Err(ClientError::Malformed("a frame")),
            }
        }
    }

    pub(super) async fn close(&mut self) -> io::Result<()> {
        TransportFrame::Close(NORMAL).encode(&mut self.unwritten);
        self.write_out().await?;
        self.stream.shutdown().await
    }

    async fn write_out(&mut self) -> io::Result<()> {
        while !self.unwritten.is_empty() {
            self.stream.write_buf(&mut self.unwritten).await?;
        }
        self.stream.flush().await
    }
}

fn closed() -> ClientError {
    ClientError::Connection("the server closed it".to_owned())
}

/// The handshake ended because the server has no protocol in common.
fn is_unknown_protocol(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(inner, Some(rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)))
}
