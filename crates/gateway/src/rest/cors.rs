//! Browsers may call from anywhere (msync.md §7).

use std::time::Duration;

use http::{HeaderName, Method, header};
use tower_http::cors::{Any, CorsLayer};

/// How long a browser may remember a preflight's answer, in seconds (a day; browsers cut it shorter).
const PREFLIGHT_LIFE_S: u64 = 24 * 60 * 60;

/// Any origin, no cookies: a caller proves itself by its token alone, so no origin is worth more than another.
pub(super) fn layer() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            header::ACCEPT,
            HeaderName::from_static("restrict-access"),
            HeaderName::from_static("share-secret"),
            HeaderName::from_static("x-requested-with"),
            HeaderName::from_static("thumbnail-height"),
            HeaderName::from_static("thumbnail-width"),
        ])
        .max_age(Duration::from_secs(PREFLIGHT_LIFE_S))
}
