//! The one table of routes.

use std::sync::Arc;

use axum::Router;
use axum::routing::{delete, get, post, put};
use serde_json::json;

use super::{
    Rest, chatfile_download, chatfile_upload, envelope, history, messages, missing, token, user_list,
    user_registration, user_sessions, user_status, users,
};

/// What lies below `/{org}/{app}` and, the same, below `/app-id/{app_id}`.
pub(super) fn table() -> Router {
    let built = Router::new()
        // Tokens: features.md §3.1.
        .route("/token", post(token::grant))
        .route("/token/users/{user}/invalid", post(token::invalidate))
        .route("/sdk/users/{user}/token/expires", get(token::expires))
        // Users: features.md §3.2.
        .route("/users", get(user_list::list).post(user_registration::register).delete(user_list::delete))
        .route("/users/{user}", get(users::get).put(users::change).delete(users::delete))
        .route("/users/{user}/password", put(users::change_password))
        .route("/users/{user}/deactivate", post(users::deactivate))
        .route("/users/{user}/activate", post(users::activate))
        .route(
            "/users/{user}/disconnect",
            get(user_sessions::disconnect_all).post(user_sessions::disconnect_all),
        )
        .route(
            "/users/{user}/disconnect/{device}",
            delete(user_sessions::disconnect_device).get(user_sessions::disconnect_device),
        )
        .route("/users/{user}/resources", get(user_sessions::resources))
        .route("/users/{user}/status", get(user_status::status))
        .route("/users/batch/status", post(user_status::batch_status))
        .route("/users/{user}/offline_msg_count", get(user_status::offline_count))
        .route("/users/{user}/offline_msg_status/{msg_id}", get(user_status::offline_status))
        // Messages: features.md §3.4, §4.
        .route("/messages", post(messages::send_legacy))
        .route("/messages/users", post(messages::send_to_users))
        .route("/users/{user}/messageroaming", post(history::roaming))
        // Attachments: features.md §3.5.
        .route("/chatfiles", post(chatfile_upload::upload))
        .route("/chatfiles/{uuid}", get(chatfile_download::download));
    missing::below_app(built)
}

/// What belongs to no app.
pub(super) fn without_app() -> Router<Arc<Rest>> {
    missing::without_app(Router::new())
}

/// GET `/healthz`, which stands outside of every limit: an overloaded gateway is not a dead one, and must not be
/// restarted for it.
pub(super) fn health() -> Router {
    Router::new().route("/healthz", get(async || envelope::json(&json!({ "status": "ok" }))))
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_two_routes_are_in_each_others_way() {
        // The router panics on routes that contradict each other.
        let _ = super::table();
        let _ = super::without_app();
    }
}
