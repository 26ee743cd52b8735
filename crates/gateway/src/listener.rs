//! From a TCP listener to requests: limits on connections and on everything that comes before a request.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::Response;
use axum::{Router, extract::Request};
use bulkhead_model::Result;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::Gateway;

/// How long a TLS handshake, the head of a request, and the first request of a connection may each take.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// How long requests in flight may go on once the gateway stops.
const GOODBYE_LIMIT: Duration = Duration::from_secs(5);

/// Pause after a failed accept, which mostly means that file descriptors are used up.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Requests of one HTTP/2 connection at one time.
const STREAMS_MAX: u32 = 128;

type Http = auto::Builder<TokioExecutor>;

/// A place among the connections that may be open. A socket keeps it after its HTTP connection is over.
#[derive(Clone)]
pub(crate) struct ConnectionPlace {
    _permit: Arc<OwnedSemaphorePermit>,
}

impl Gateway {
    /// Accepts clients until [`Gateway::drain`]; with a TLS configuration over TLS. At
    /// [`connections_max`](crate::GatewaySettings::connections_max) open connections new ones wait.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, tls: Option<Arc<ServerConfig>>) -> Result<()> {
        let routes = self.routes();
        let tls = tls.map(TlsAcceptor::from);
        let http = Arc::new(http());
        let places = Arc::new(Semaphore::new(self.settings.connections_max));
        loop {
            let accepted = self.stopping.run_until_cancelled(accept(&listener, &places)).await;
            let Some((stream, address, place)) = accepted else { return Ok(()) };
            let (routes, http, tls) = (routes.clone(), Arc::clone(&http), tls.clone());
            let stopping = self.stopping.clone();
            self.tasks.spawn(async move {
                let connection = Connection { routes, http, address, place, stopping };
                match tls {
                    None => connection.run(stream).await,
                    Some(tls) => {
                        // A handshake that fails is the client's affair.
                        if let Ok(Ok(stream)) =
                            tokio::time::timeout(HANDSHAKE_LIMIT, tls.accept(stream)).await
                        {
                            connection.run(stream).await;
                        }
                    }
                }
            });
        }
    }
}

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> (TcpStream, SocketAddr, ConnectionPlace) {
    loop {
        let permit = Arc::clone(places).acquire_owned().await.expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((stream, address)) => {
                // Answers are small and written as a whole: waiting to fill a segment only delays them.
                let _ = stream.set_nodelay(true);
                return (stream, address, ConnectionPlace { _permit: Arc::new(permit) });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn http() -> Http {
    let mut http = Http::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(HANDSHAKE_LIMIT);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(Duration::from_secs(30));
    http
}

struct Connection {
    routes: Router,
    http: Arc<Http>,
    address: SocketAddr,
    place: ConnectionPlace,
    stopping: CancellationToken,
}

impl Connection {
    async fn run<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: S) {
        let Self { routes, http, address, place, stopping } = self;
        let asked = Arc::new(AtomicBool::new(false));
        let has_asked = Arc::clone(&asked);
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            has_asked.store(true, Ordering::Relaxed);
            let mut request: Request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(address));
            request.extensions_mut().insert(place.clone());
            let answer = routes.clone().oneshot(request);
            async move { answer.await as Result<Response, Infallible> }
        });
        let mut serving = pin!(http.serve_connection_with_upgrades(TokioIo::new(stream), service));
        // Before the first byte no other limit counts.
        let first = tokio::time::timeout(HANDSHAKE_LIMIT, serving.as_mut());
        let ended = tokio::select! {
            ended = first => ended.is_ok(),
            () = stopping.cancelled() => false,
        };
        if ended || (!asked.load(Ordering::Relaxed) && !stopping.is_cancelled()) {
            return;
        }
        tokio::select! {
            _ = serving.as_mut() => return,
            () = stopping.cancelled() => serving.as_mut().graceful_shutdown(),
        }
        let _ = tokio::time::timeout(GOODBYE_LIMIT, serving).await;
    }
}
