use std::io::ErrorKind as IoErrorKind;
use std::net::SocketAddr;

use tokio::net::TcpListener;

use crate::Failure;

/// Listens on an address; the failure says what to change (`setting` names it).
pub(crate) async fn listen(address: SocketAddr, setting: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::io(match error.kind() {
            IoErrorKind::AddrInUse => format!("{address} is in use; choose another address with {setting}"),
            _ => format!("cannot listen on {address} ({setting}): {error}"),
        })
    })
}

/// The address that a listener really has, which matters for port 0.
pub(crate) fn address_of(listener: &TcpListener) -> Result<SocketAddr, Failure> {
    listener.local_addr().map_err(|error| Failure::io(format!("a listener has no address: {error}")))
}
