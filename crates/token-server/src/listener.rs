//! From a listener to requests: limits on connections and on everything that comes before a request.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bulkhead_model::Result;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::http::{Caller, Door};
use crate::{MutualTls, TokenServer};

/// How long a TLS handshake and the head of a request may each take.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// A connection without a request for this long, or twice as long, is closed.
const IDLE_LIMIT: Duration = Duration::from_secs(30);

/// How long requests in flight may go on once the server stops.
const GOODBYE_LIMIT: Duration = Duration::from_secs(5);

/// Pause after a failed accept, which mostly means that file descriptors are used up.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where callers come in.
pub enum Listener {
    /// A socket file; who may open it may call.
    Unix(UnixListener),
    /// An address of this machine, for its own processes.
    Loopback(TcpListener),
    /// Any address, for callers with a certificate. The newest configuration judges the next handshake.
    Mutual(TcpListener, watch::Receiver<Arc<MutualTls>>),
}

/// A connection before its handshake.
enum Accepted {
    Unix(UnixStream),
    Loopback(TcpStream),
    Mutual(TcpStream, Arc<MutualTls>),
}

impl TokenServer {
    /// Accepts callers until `stop` is cancelled, then finishes what is in flight. At
    /// [`connections_max`](crate::TokenServerSettings::connections_max) open connections new ones wait.
    pub async fn serve(self: Arc<Self>, listener: Listener, stop: CancellationToken) -> Result<()> {
        let routes = crate::http::routes(self.clone());
        let places = Arc::new(Semaphore::new(self.settings.connections_max));
        let connections = TaskTracker::new();
        while let Some((accepted, place)) = stop.run_until_cancelled(listener.accept(&places)).await {
            connections.spawn(handle(accepted, routes.clone(), place, stop.clone()));
        }
        connections.close();
        connections.wait().await;
        Ok(())
    }
}

impl Listener {
    async fn accept(&self, places: &Arc<Semaphore>) -> (Accepted, OwnedSemaphorePermit) {
        loop {
            let place = Arc::clone(places).acquire_owned().await.expect("the semaphore is never closed");
            let accepted = match self {
                Listener::Unix(listener) => listener.accept().await.map(|(stream, _)| Accepted::Unix(stream)),
                Listener::Loopback(listener) => {
                    listener.accept().await.map(|(stream, _)| Accepted::Loopback(stream))
                }
                Listener::Mutual(listener, tls) => listener
                    .accept()
                    .await
                    .map(|(stream, _)| Accepted::Mutual(stream, Arc::clone(&tls.borrow()))),
            };
            match accepted {
                Ok(accepted) => return (accepted, place),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Learns who calls, and serves the connection; `place` is free again at its end.
async fn handle(accepted: Accepted, routes: Router, place: OwnedSemaphorePermit, stop: CancellationToken) {
    let _place = place;
    match accepted {
        Accepted::Unix(stream) => {
            // The kernel knows it; without an answer there is nobody to count calls for.
            let Ok(peer) = stream.peer_cred() else { return };
            let caller = Caller::new(format!("uid:{}", peer.uid()), Door::Unix);
            serve(stream, routes, caller, &stop).await;
        }
        Accepted::Loopback(stream) => {
            let _ = stream.set_nodelay(true);
            serve(stream, routes, Caller::new("loopback".to_owned(), Door::Loopback), &stop).await;
        }
        Accepted::Mutual(stream, tls) => {
            let _ = stream.set_nodelay(true);
            let acceptor = TlsAcceptor::from(tls.config.clone());
            let stream = match tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => {
                    tracing::info!(%error, "a handshake failed");
                    return;
                }
                Err(_) => return,
            };
            let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
            let Some(name) = certificate.and_then(|certificate| tls.caller(certificate)) else { return };
            serve(stream, routes, Caller::new(name, Door::Mutual), &stop).await;
        }
    }
}

async fn serve<S>(stream: S, routes: Router, caller: Caller, stop: &CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = Arc::new(Activity::default());
    let seen = activity.clone();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        seen.begun.fetch_add(1, Ordering::Relaxed);
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(caller.clone());
        let answer = routes.clone().oneshot(request);
        let seen = seen.clone();
        async move {
            let answer = answer.await;
            seen.answered.fetch_add(1, Ordering::Relaxed);
            answer as Result<Response, Infallible>
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HANDSHAKE_LIMIT);
    let mut serving = pin!(http.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        _ = serving.as_mut() => return,
        () = stop.cancelled() => {}
        () = activity.until_idle() => {}
    }
    serving.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(GOODBYE_LIMIT, serving).await;
}

/// Requests of one connection.
#[derive(Default)]
struct Activity {
    begun: AtomicU64,
    answered: AtomicU64,
}

impl Activity {
    async fn until_idle(&self) {
        let mut before = None;
        loop {
            tokio::time::sleep(IDLE_LIMIT).await;
            let begun = self.begun.load(Ordering::Relaxed);
            if before == Some(begun) && self.answered.load(Ordering::Relaxed) == begun {
                return;
            }
            before = Some(begun);
        }
    }
}
