//! The HTTP API.
//!
//! A call passes four layers (`finish`, CORS, panics, `guard`), then [`dispatch`] finds its app and hands the rest of
//! the path to the one table of routes (`routes.rs`). Handlers answer a [`Call`]'s envelope or a [`RestError`].

mod body;
mod call;
mod caller;
mod channel_change;
mod channel_details;
mod channel_kind;
mod channel_members;
mod channel_request;
mod channel_standing;
mod chatfile_download;
mod chatfile_form;
mod chatfile_range;
mod chatfile_thumbnail;
mod chatfile_transfer;
mod chatfile_upload;
mod cors;
mod dispatch;
mod envelope;
mod error;
mod finish;
mod groups;
mod guard;
mod history;
mod history_request;
mod limits;
mod message_content;
mod message_ext;
mod message_request;
mod messages;
mod missing;
mod rooms;
mod routes;
mod token;
mod token_revocation;
mod transfers;
mod user_list;
mod user_registration;
mod user_sessions;
mod user_status;
mod users;

#[cfg(test)]
mod channels_test;
#[cfg(test)]
mod chatfiles_test;
#[cfg(test)]
mod fake_attachments;
#[cfg(test)]
mod fake_channels;
#[cfg(test)]
pub(crate) mod fakes;
#[cfg(test)]
mod layers_test;

use std::any::Any;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use axum::{Router, middleware};
use bulkhead_model::ErrorKind;
use http::StatusCode;
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;

pub(crate) use self::chatfile_thumbnail::Thumbnails;
use self::error::RestError;
use self::limits::Limits;
pub(crate) use self::transfers::Transfers;
use crate::Gateway;

/// What all calls share.
struct Rest {
    gateway: Arc<Gateway>,
    limits: Limits,
    calls_in_flight: Semaphore,
    /// The routes below an app.
    table: Router,
}

/// Every REST route of the gateway, layers included.
///
/// Answers 200 with JSON or an error with JSON, whatever happens; leaves `/websocket` to the sockets.
pub(crate) fn routes(gateway: Arc<Gateway>) -> Router {
    let settings = &gateway.settings;
    let rest = Arc::new(Rest {
        limits: Limits::new(settings.app_rate_per_s, settings.address_rate_per_s),
        calls_in_flight: Semaphore::new(limits::CALLS_IN_FLIGHT_MAX),
        gateway: Arc::clone(&gateway),
        table: routes::table(),
    });
    routes::without_app()
        .fallback(dispatch::dispatch)
        .with_state(Arc::clone(&rest))
        .layer(middleware::from_fn_with_state(rest, guard::guard))
        .merge(routes::health())
        .layer(CatchPanicLayer::custom(panicked))
        .layer(cors::layer())
        .layer(middleware::from_fn_with_state(gateway, finish::finish))
}

/// What whoever comes in the clear from beyond this machine gets, whatever it asks for.
pub(crate) fn only_over_tls(gateway: Arc<Gateway>) -> Router {
    let refuse = async || RestError::of_status(StatusCode::UPGRADE_REQUIRED).into_response();
    Router::new().fallback(refuse).layer(middleware::from_fn_with_state(gateway, finish::finish))
}

/// A defect: the caller learns no more than that, and the panic's own text may hold what must not be logged.
fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    tracing::error!("a request handler panicked");
    RestError::from(ErrorKind::Internal).into_response()
}
