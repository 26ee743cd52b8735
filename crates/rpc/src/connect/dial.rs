use std::io;
use std::net::SocketAddr;

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::identity::{Identity, PeerStream, Refusal, Service, Side};
use crate::limits::CONNECT_LIMIT;

/// Opens a connection to a service and makes sure that it is that service.
pub(super) async fn dial(
    identity: &Identity,
    service: Service,
    address: SocketAddr,
) -> io::Result<PeerStream> {
    let attempt = async {
        if !identity.allows(address) {
            return Err(io::Error::other("without certificates only loopback addresses are dialled"));
        }
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        identity.greet(stream, service).await.inspect_err(|error| {
            let refusal = Refusal::of(error);
            identity.dial_log().failed(service, address, Some(refusal));
            refusal.note(Side::Caller, address);
        })
    };
    let outcome = timeout(CONNECT_LIMIT, attempt).await.unwrap_or_else(|late| Err(late.into()));
    match &outcome {
        Ok(stream) => identity.dial_log().connected(service, address, stream.caller()),
        Err(error) => {
            tracing::debug!(service = service.name(), %address, %error, "a service cannot be reached");
            // A refused handshake was written down with its reason.
            if !is_tls(error) {
                identity.dial_log().failed(service, address, None);
            }
        }
    }
    outcome
}

fn is_tls(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>() || inner.is::<Refusal>())
}
