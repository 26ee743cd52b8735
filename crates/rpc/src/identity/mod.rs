//! Who a process is to the other services of its region, and how it makes sure of them: mutual TLS 1.3 with the
//! region's own authority, and names like `spiffe://bulkhead/singapore/router` (design: region pinning, layer 2).
//!
//! A handshake happens once for each connection, both ends are verified in it, and what does not fit is refused there,
//! before a request is read, and counted by its reason. Sessions are not resumed: every connection is judged by the
//! certificates of its own time.

mod credentials;
mod name;
mod refusal;
mod stream;
mod verify;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bulkhead_model::Region;
use parking_lot::RwLock;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

pub use credentials::{CredentialTexts, Credentials, CredentialsError, authority_region};
pub use name::{Service, ServiceName};
pub use refusal::Refusal;
pub(crate) use refusal::Side;
pub use stream::Caller;
pub(crate) use stream::{OpenConnection, PeerStream};

use crate::dialled::{DialLog, Dialled};
use verify::name_in;

/// What a process shows to the others and asks of them; cheap to clone, and all clones change together.
#[derive(Clone)]
pub struct Identity {
    region: Region,
    credentials: Option<Arc<RwLock<Arc<Credentials>>>>,
    dialled: DialLog,
}

impl Identity {
    /// An identity with certificates.
    pub fn new(credentials: Credentials) -> Self {
        let region = credentials.name().region;
        let credentials = Some(Arc::new(RwLock::new(Arc::new(credentials))));
        Self { region, credentials, dialled: DialLog::default() }
    }

    /// No identity: connections are neither encrypted nor authenticated, and only loopback addresses are served or
    /// dialled. For tests and first steps on one machine.
    pub fn insecure(region: Region) -> Self {
        Self { region, credentials: None, dialled: DialLog::default() }
    }

    /// The region that this process is in.
    pub fn region(&self) -> Region {
        self.region
    }

    /// Whether there are no certificates.
    pub fn is_insecure(&self) -> bool {
        self.credentials.is_none()
    }

    /// Uses other credentials of the same name from the next handshake on; open connections stay.
    pub fn replace(&self, credentials: Credentials) {
        if let Some(current) = &self.credentials {
            *current.write() = Arc::new(credentials);
        }
    }

    /// Every address that this process has dialled over gRPC, with the region that each has proven.
    pub fn dialled(&self) -> Vec<Dialled> {
        self.dialled.list()
    }

    pub(crate) fn dial_log(&self) -> &DialLog {
        &self.dialled
    }

    /// The called side's handshake.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<PeerStream> {
        let Some(credentials) = self.current() else { return Ok(PeerStream::plain(stream)) };
        let tls = TlsAcceptor::from(credentials.server_config()).accept(stream).await?;
        let name = peer_name(tls.get_ref().1.peer_certificates())?;
        Ok(PeerStream::certified(TlsStream::from(tls), name))
    }

    /// The calling side's handshake with a `service`.
    pub(crate) async fn greet(&self, stream: TcpStream, service: Service) -> io::Result<PeerStream> {
        let Some(credentials) = self.current() else { return Ok(PeerStream::plain(stream)) };
        let config = credentials.client_config(service).map_err(io::Error::other)?;
        // Sent to nobody and asked by nobody: the verifier looks at the URI alone.
        let host = ServerName::from(stream.peer_addr()?.ip());
        let tls = TlsConnector::from(Arc::new(config)).connect(host, stream).await?;
        let name = peer_name(tls.get_ref().1.peer_certificates())?;
        Ok(PeerStream::certified(TlsStream::from(tls), name))
    }

    /// Without certificates nothing leaves the machine.
    pub(crate) fn allows(&self, address: SocketAddr) -> bool {
        !self.is_insecure() || address.ip().is_loopback()
    }

    fn current(&self) -> Option<Arc<Credentials>> {
        Some(self.credentials.as_ref()?.read().clone())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.current().map(|credentials| credentials.name().to_string());
        f.debug_struct("Identity").field("region", &self.region).field("name", &name).finish()
    }
}

/// The verifier has judged the certificate in the handshake; this reads its name again.
fn peer_name(certificates: Option<&[rustls_pki_types::CertificateDer<'static>]>) -> io::Result<ServiceName> {
    let certificate = certificates.and_then(|certificates| certificates.first());
    certificate.ok_or(Refusal::NoCertificate).and_then(name_in).map_err(io::Error::other)
}
