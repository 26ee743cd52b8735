//! The called side of a connection: accepted, then shaken hands with, then served.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use crate::identity::{Identity, PeerStream, Refusal, Side};
use crate::limits::{HANDSHAKE_LIMIT, HANDSHAKES_MAX};

/// Connections that wait to be served after their handshake.
const WAITING_MAX: usize = 16;

/// Pause after a connection could not be accepted, which mostly means that the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The connections of a listener whose handshake succeeded. Handshakes run beside each other, so that a slow one holds
/// up nobody. Ends with `stop`.
pub(crate) fn accept(
    listener: TcpListener,
    identity: Identity,
    stop: CancellationToken,
) -> ReceiverStream<io::Result<PeerStream>> {
    let (greeted, connections) = mpsc::channel(WAITING_MAX);
    tokio::spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = greeted.closed() => {}
            () = accept_all(listener, identity, greeted.clone()) => {}
        }
    });
    ReceiverStream::new(connections)
}

async fn accept_all(
    listener: TcpListener,
    identity: Identity,
    greeted: mpsc::Sender<io::Result<PeerStream>>,
) {
    let room = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    loop {
        let Ok(room) = room.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let (identity, greeted) = (identity.clone(), greeted.clone());
                tokio::spawn(async move {
                    let stream = greet(&identity, stream).await;
                    drop(room);
                    if let Some(stream) = stream {
                        // Nobody serves any more when this fails.
                        let _ = greeted.send(Ok(stream)).await;
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn greet(identity: &Identity, stream: TcpStream) -> Option<PeerStream> {
    let peer = stream.peer_addr().ok()?;
    stream.set_nodelay(true).ok()?;
    let outcome = timeout(HANDSHAKE_LIMIT, identity.accept(stream)).await;
    let refusal = match outcome {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(error)) => Refusal::of(&error),
        Err(_) => Refusal::Broken,
    };
    refusal.note(Side::Called, peer);
    None
}
