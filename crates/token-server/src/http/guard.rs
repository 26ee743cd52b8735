//! What holds for every call, before it is looked at: no browser, not too often, not too long.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};

use super::audit;
use super::caller::{Caller, Door};
use super::error::ApiError;
use crate::TokenServer;

/// What browsers send by themselves and back ends do not (Fetch §3.1, Fetch Metadata §2). `Sec-Fetch-Mode` is not among
/// them: the `fetch` of Node sends it too.
const OF_BROWSERS: &[&str] = &["origin", "sec-fetch-site", "sec-fetch-dest"];

/// The path that whoever looks after the process asks as often as it likes.
pub(super) const HEALTH_PATH: &str = "/healthz";

pub(super) async fn guard(State(server): State<Arc<TokenServer>>, request: Request, next: Next) -> Response {
    let Some(caller) = request.extensions().get::<Caller>().cloned() else {
        return internal().into_response();
    };
    let admitted = admit(&server, &caller, &request);
    if admitted.is_err() {
        audit::write(&caller, "refused", "", &admitted);
    }
    if let Err(refused) = admitted {
        return refused.into_response();
    }
    let limit = Duration::from_millis(server.settings.request_limit_ms);
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "the call was not done within its time; try again",
        )
        .retry_after(Duration::from_secs(1))
        .into_response(),
    }
}

fn admit(server: &TokenServer, caller: &Caller, request: &Request) -> Result<(), ApiError> {
    if is_of_a_browser(request.headers()) || (caller.door == Door::Loopback && !names_loopback(request)) {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "no_browsers",
            "the token server answers the app's back end, and no browser",
        ));
    }
    if request.uri().path() == HEALTH_PATH {
        return Ok(());
    }
    server.rates.check(&caller.name).map_err(|wait| {
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "this caller calls too often")
            .retry_after(wait)
    })
}

fn is_of_a_browser(headers: &HeaderMap) -> bool {
    OF_BROWSERS.iter().any(|name| headers.contains_key(*name))
}

/// A page whose name was made to lead to this machine sends that name as the host, and no `Origin` with a GET.
fn names_loopback(request: &Request) -> bool {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// 500, for what cannot happen.
pub(super) fn internal() -> ApiError {
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "internal error")
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn with(name: &'static str, value: &'static str) -> Request {
        Request::builder().header(name, value).body(Body::empty()).unwrap()
    }

    #[test]
    fn what_only_browsers_send_is_known() {
        for name in OF_BROWSERS {
            assert!(is_of_a_browser(with(name, "null").headers()), "{name}");
        }
        assert!(!is_of_a_browser(with("user-agent", "Mozilla/5.0").headers()));
    }

    #[test]
    fn only_this_machine_is_a_host_of_this_machine() {
        for right in ["localhost:7180", "127.0.0.1:7180", "127.8.8.8", "[::1]:7180", "LOCALHOST"] {
            assert!(names_loopback(&with("host", right)), "{right}");
        }
        for wrong in ["rebound.example:7180", "localhost.example", "", "[::2]", "127.0.0.1.example"] {
            assert!(!names_loopback(&with("host", wrong)), "{wrong}");
        }
    }
}
