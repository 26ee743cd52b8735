//! Opens a socket and logs in on it: frames on a TLS connection where the server knows them, a WebSocket otherwise.

use std::time::Duration;

use bulkhead_msync::proto::m_sync::Command;
use bulkhead_msync::proto::{MSync, Provision};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use prost::Message as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, connect_async_tls_with_config};

use super::frames_socket::FramesSocket;
use super::{Credential, Login};
use crate::{ClientError, RegionAddress, Rest, frames};

pub(super) enum Socket {
    WebSocket(Box<WebSocketStream<MaybeTlsStream<TcpStream>>>),
    Frames(Box<FramesSocket>),
}

/// How long connecting may take, and how long the answer to a login, as in the web SDK (msync.md §2).
const STEP_LIMIT: Duration = Duration::from_secs(10);

/// Largest frame that is accepted: a page of 50 messages at their limit, and some.
pub(super) const FRAME_BYTES_MAX: usize = 1024 * 1024;

/// Connects and logs in.
pub(super) async fn open(region: &RegionAddress, login: &Login, device: &str) -> Result<Socket, ClientError> {
    let token = match &login.credential {
        Credential::Token(token) => token.clone(),
        Credential::Password(password) => {
            Rest::new(region, &login.app)?.grant_password(&login.user, password).await?.access_token
        }
    };
    let mut socket = within(STEP_LIMIT, connect(region)).await?;
    let frame = frames::login(&login.app, &login.user, &token, device);
    within(STEP_LIMIT, async {
        send(&mut socket, frame).await?;
        read_login_answer(&mut socket).await
    })
    .await?;
    Ok(socket)
}

/// Sends one MSYNC frame.
pub(super) async fn send(socket: &mut Socket, frame: Bytes) -> Result<(), ClientError> {
    let lost = |error: String| ClientError::Connection(error);
    match socket {
        Socket::WebSocket(socket) => {
            socket.send(Frame::Binary(frame)).await.map_err(|error| lost(error.to_string()))
        }
        Socket::Frames(socket) => socket.send(frame).await.map_err(|error| lost(error.to_string())),
    }
}

/// The next MSYNC frame; `None` for a frame that only keeps the WebSocket going.
pub(super) async fn next(socket: &mut Socket) -> Result<Option<Bytes>, ClientError> {
    let socket = match socket {
        Socket::WebSocket(socket) => socket,
        Socket::Frames(socket) => return socket.next().await.map(Some),
    };
    match socket.next().await {
        Some(Ok(Frame::Binary(frame))) => Ok(Some(frame)),
        // The answer to a ping is sent by the library with the next read.
        Some(Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_))) => Ok(None),
        Some(Ok(Frame::Text(_))) => Err(ClientError::Malformed("a text frame")),
        Some(Ok(Frame::Close(_))) | None => Err(ClientError::Connection("the server closed it".to_owned())),
        Some(Err(error)) => Err(ClientError::Connection(error.to_string())),
    }
}

/// Tells the server that this side goes.
pub(super) async fn close(socket: &mut Socket) {
    // Told politely: one that is gone already need not be told.
    match socket {
        Socket::WebSocket(socket) => drop(socket.as_mut().close(None).await),
        Socket::Frames(socket) => drop(socket.close().await),
    }
}

async fn connect(region: &RegionAddress) -> Result<Socket, ClientError> {
    if region.is_tls()
        && let Some(socket) = FramesSocket::connect(region).await?
    {
        return Ok(Socket::Frames(Box::new(socket)));
    }
    let config = WebSocketConfig::default()
        .max_message_size(Some(FRAME_BYTES_MAX))
        .max_frame_size(Some(FRAME_BYTES_MAX));
    let connector = match region.is_tls() {
        true => Connector::Rustls(region.tls()),
        false => Connector::Plain,
    };
    // Small frames must not wait for the acknowledgement of the one before.
    let without_delay = true;
    connect_async_tls_with_config(region.ws_url(), Some(config), without_delay, Some(connector))
        .await
        .map(|(socket, _)| Socket::WebSocket(Box::new(socket)))
        .map_err(|error| ClientError::Connection(error.to_string()))
}

async fn read_login_answer(socket: &mut Socket) -> Result<(), ClientError> {
    loop {
        let Some(frame) = next(socket).await? else { continue };
        let malformed = |_| ClientError::Malformed("the answer to the login");
        let frame = MSync::decode(frame).map_err(malformed)?;
        if frame.command() != Command::Provision {
            continue;
        }
        let answer = Provision::decode(frame.payload.unwrap_or_default()).map_err(malformed)?;
        let status = answer.status.unwrap_or_default();
        return match status.error_code.unwrap_or_default() {
            0 => Ok(()),
            code => Err(ClientError::Refused { code, reason: status.reason().to_owned() }),
        };
    }
}

async fn within<T>(
    limit: Duration,
    step: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    timeout(limit, step).await.unwrap_or(Err(ClientError::Timeout(limit.as_secs())))
}
