//! What every call must pass before it is looked at: room in the gateway, the caller's rate, and a time limit.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bulkhead_model::ErrorKind;
use http::{Method, StatusCode};

use super::Rest;
use super::error::RestError;

/// Refuses what is over a limit and ends what takes too long. The client's address comes from the listener as
/// `ConnectInfo<SocketAddr>`; without it (in-process calls) only the other limits count.
pub(super) async fn guard(State(rest): State<Arc<Rest>>, request: Request, next: Next) -> Response {
    let Ok(_permit) = rest.calls_in_flight.try_acquire() else {
        return RestError::from(ErrorKind::Unavailable).into_response();
    };
    let address = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    if let Some(address) = address
        && let Err(error) = rest.limits.check_address(address)
    {
        return RestError::from(error).into_response();
    }
    let settings = &rest.gateway.settings;
    let is_upload = request.method() == Method::POST && request.uri().path().ends_with("/chatfiles");
    let limit = if is_upload { settings.transfer_limit_ms } else { settings.request_limit_ms };
    let limit = Duration::from_millis(limit);
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => RestError::of_status(StatusCode::REQUEST_TIMEOUT).into_response(),
    }
}
