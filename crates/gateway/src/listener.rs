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
use bulkhead_msync::TRANSPORT_ALPN;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::forwarded::client_of;
use crate::proxy_protocol::take_header;
use crate::{Front, Gateway, rest, sockets};

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
    /// Accepts clients until [`Gateway::drain`]. At [`connections_max`](crate::GatewaySettings::connections_max) open
    /// connections new ones wait.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, front: Front) -> Result<()> {
        let (routes, in_the_clear) = (self.routes(), rest::only_over_tls(Arc::clone(&self)));
        let http = Arc::new(http());
        let front = Arc::new(front);
        let places = Arc::new(Semaphore::new(self.settings.connections_max));
        loop {
            let accepted = self.stopping.run_until_cancelled(accept(&listener, &places)).await;
            let Some((stream, address, place)) = accepted else { return Ok(()) };
            let routes = if front.is_safe(address) {
                routes.clone()
            } else {
                metrics::counter!("bulkhead_gateway_refused_total", "reason" => "in_the_clear").increment(1);
                in_the_clear.clone()
            };
            let connection = Connection {
                gateway: Arc::clone(&self),
                routes,
                http: Arc::clone(&http),
                front: Arc::clone(&front),
                address,
                place,
                stopping: self.stopping.clone(),
            };
            self.tasks.spawn(connection.begin(stream));
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
    gateway: Arc<Gateway>,
    routes: Router,
    http: Arc<Http>,
    front: Arc<Front>,
    address: SocketAddr,
    place: ConnectionPlace,
    stopping: CancellationToken,
}

impl Connection {
    /// What fails before HTTP is the client's affair, or the proxy's.
    async fn begin(mut self, mut stream: TcpStream) {
        if self.front.proxies.announce(self.address) {
            let header = take_header(&mut stream, self.address);
            let Ok(Ok(client)) = tokio::time::timeout(HANDSHAKE_LIMIT, header).await else { return };
            self.address = client;
        }
        let Some(tls) = self.front.tls.clone() else { return self.run(stream).await };
        let handshake = TlsAcceptor::from(tls).accept(stream);
        let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_LIMIT, handshake).await else { return };
        if stream.get_ref().1.alpn_protocol() == Some(TRANSPORT_ALPN) {
            let Self { gateway, place, .. } = self;
            let _held = place;
            return sockets::run_frames(gateway, stream).await;
        }
        self.run(stream).await;
    }

    async fn run<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: S) {
        let Self { gateway: _, routes, http, front, address, place, stopping } = self;
        let asked = Arc::new(AtomicBool::new(false));
        let has_asked = Arc::clone(&asked);
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            has_asked.store(true, Ordering::Relaxed);
            let mut request: Request = request.map(Body::new);
            let client = client_of(request.headers(), address, &front.proxies);
            request.extensions_mut().insert(ConnectInfo(client));
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
