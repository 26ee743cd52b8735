//! The outermost layer: whatever answers a call, the client gets JSON.

use std::sync::Arc;

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderValue, Method, StatusCode, header};

use super::error::RestError;
use crate::Gateway;

/// Writes the error envelope of every refusal, of ours and of the HTTP layers below (unknown path, wrong method, panic),
/// and leaves no answer empty: server SDKs report an empty body as a failure whatever its status (server-sdk.md A).
pub(super) async fn finish(State(gateway): State<Arc<Gateway>>, request: Request, next: Next) -> Response {
    let began_ms = gateway.clock.now_ms();
    let is_head = request.method() == Method::HEAD;
    let mut response = next.run(request).await;
    let refused = match response.extensions_mut().remove::<RestError>() {
        Some(error) => Some(error),
        None if answers_json(&response) => None,
        None if response.status().is_client_error() || response.status().is_server_error() => {
            Some(RestError::of_status(response.status()))
        }
        None => None,
    };
    if let Some(error) = refused {
        let now_ms = gateway.clock.now_ms();
        *response.status_mut() = error.status;
        set_json(&mut response, error.envelope(now_ms, now_ms.saturating_sub(began_ms)));
    } else if !is_head && response.body().size_hint().exact() == Some(0) {
        *response.status_mut() = StatusCode::OK;
        set_json(&mut response, b"{}".to_vec());
    }
    response
}

fn answers_json(response: &Response) -> bool {
    response.headers().get(header::CONTENT_TYPE).is_some_and(|value| value == "application/json")
}

fn set_json(response: &mut Response, body: Vec<u8>) {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.remove(header::CONTENT_LENGTH);
    *response.body_mut() = Body::from(body);
}
