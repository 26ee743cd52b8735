//! From an HTTP request at `/websocket` or `/ws`, or from a TLS connection that was agreed to carry frames, to a socket.

use std::sync::Arc;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Json, Router};
use bulkhead_model::limits::FRAME_BYTES_MAX;
use http::StatusCode;
use serde_json::json;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::connection::Connection;
use super::wire::Wire;
use crate::Gateway;
use crate::listener::ConnectionPlace;

/// What a socket reads at once, in bytes. The buffer stays with the socket, so that this is memory of every idle one.
const READ_BUFFER_BYTES: usize = 4096;

/// Frames are gathered up to this many bytes before they are written without a flush: one write for many frames. Grows
/// only when it is used.
const WRITE_BUFFER_BYTES: usize = 8192;

/// The two paths at which clients open a socket.
pub(crate) fn routes(gateway: Arc<Gateway>) -> Router {
    Router::new().route("/websocket", any(upgrade)).route("/ws", any(upgrade)).with_state(gateway)
}

async fn upgrade(
    State(gateway): State<Arc<Gateway>>,
    place: Option<Extension<ConnectionPlace>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(_) => return not_an_upgrade(),
    };
    let task = gateway.tasks.token();
    upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_message_size(FRAME_BYTES_MAX)
        .max_frame_size(FRAME_BYTES_MAX)
        .on_upgrade(move |socket| {
            // On the heap, because the task also holds room for everything that came before it.
            Box::pin(async move {
                let _held = (task, place);
                Connection::new(gateway, Wire::WebSocket(socket)).run().await;
            })
        })
}

/// Runs a session on a TLS connection whose ends have agreed on [`TRANSPORT_ALPN`](bulkhead_msync::TRANSPORT_ALPN).
pub(crate) async fn run_frames(gateway: Arc<Gateway>, stream: TlsStream<TcpStream>) {
    Box::pin(Connection::new(gateway, Wire::frames(stream)).run()).await;
}

fn not_an_upgrade() -> Response {
    let error = json!({ "error": "bad_request", "error_description": "this path is for WebSockets" });
    (StatusCode::BAD_REQUEST, Json(error)).into_response()
}
