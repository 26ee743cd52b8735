use std::any::Any;
use std::sync::Arc;

use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, delete, get, post};
use axum::{Extension, Router};
use http::StatusCode;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;

use super::caller::Caller;
use super::error::ApiError;
use super::guard::{self, HEALTH_PATH};
use super::{audit, handlers};
use crate::TokenServer;

/// A call of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Upper case.
    pub method: &'static str,
    /// With parameters in braces.
    pub path: &'static str,
    pub action: Action,
}

/// What a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    UserToken,
    AppToken,
    Forget,
    FindByUsername,
    Health,
}

/// Every call there is.
pub const ROUTES: &[Route] = &[
    Route { method: "POST", path: "/v1/tokens/user", action: Action::UserToken },
    Route { method: "POST", path: "/v1/tokens/app", action: Action::AppToken },
    Route { method: "DELETE", path: "/v1/users/{user}", action: Action::Forget },
    Route { method: "GET", path: "/v1/users/by-username/{username}", action: Action::FindByUsername },
    Route { method: "GET", path: HEALTH_PATH, action: Action::Health },
];

pub(crate) fn routes(server: Arc<TokenServer>) -> Router {
    let mut routes = Router::new();
    for route in ROUTES {
        routes = routes.route(route.path, handler(route.action));
    }
    routes
        .fallback(no_such_call)
        .method_not_allowed_fallback(no_such_method)
        .layer(
            ServiceBuilder::new()
                .layer(CatchPanicLayer::custom(panicked))
                .layer(from_fn_with_state(server.clone(), guard::guard)),
        )
        .with_state(server)
}

fn handler(action: Action) -> MethodRouter<Arc<TokenServer>> {
    match action {
        Action::UserToken => post(handlers::user_token),
        Action::AppToken => post(handlers::app_token),
        Action::Forget => delete(handlers::forget),
        Action::FindByUsername => get(handlers::find_by_username),
        Action::Health => get(handlers::health),
    }
}

async fn no_such_call(Extension(caller): Extension<Caller>) -> Response {
    refuse(&caller, ApiError::new(StatusCode::NOT_FOUND, "no_such_call", "there is no such call"))
}

async fn no_such_method(Extension(caller): Extension<Caller>) -> Response {
    let error =
        ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "the call has another method");
    refuse(&caller, error)
}

fn refuse(caller: &Caller, error: ApiError) -> Response {
    let outcome = Err::<(), _>(error);
    audit::write(caller, "unknown", "", &outcome);
    outcome.into_response()
}

fn panicked(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a call ended in a panic");
    guard::internal().into_response()
}
