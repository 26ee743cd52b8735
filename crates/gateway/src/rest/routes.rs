//! The one table of routes.

use std::sync::Arc;

use axum::Router;
use axum::routing::{delete, get, post, put};
use serde_json::json;

use super::channel_kind::{Groups, Rooms};
use super::{
    Rest, channel_change, channel_details, channel_members, channel_standing, chatfile_download,
    chatfile_upload, envelope, groups, history, messages, missing, rooms, token, token_revocation, user_list,
    user_registration, user_sessions, user_status, users,
};

/// What lies below `/{org}/{app}` and, the same, below `/app-id/{app_id}`.
pub(super) fn table() -> Router {
    let built = Router::new()
        // Tokens: features.md §3.1.
        .route("/token", post(token::grant))
        .route("/token/users/{user}/invalid", post(token::invalidate))
        .route("/sdk/users/{user}/token/expires", get(token::expires))
        .route("/security/tokens/revoke", post(token_revocation::revoke))
        .route("/security/tokens/revoke-all", post(token_revocation::revoke_all))
        .route("/security/tokens/users/{user}/revoke", post(token::invalidate))
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
        .route("/messages/chatgroups", post(messages::send_to_groups))
        .route("/messages/chatgroups/users", post(messages::send_to_some_of_a_group))
        .route("/messages/chatrooms", post(messages::send_to_rooms))
        .route("/messages/chatrooms/users", post(messages::send_to_some_of_a_room))
        .route("/users/{user}/messageroaming", post(history::roaming))
        // Attachments: features.md §3.5.
        .route("/chatfiles", post(chatfile_upload::upload))
        .route("/chatfiles/{uuid}", get(chatfile_download::download))
        .merge(of_groups())
        .merge(of_rooms());
    missing::below_app(built)
}

/// Groups: features.md §3.6, §3.7.
fn of_groups() -> Router {
    Router::new()
        .route("/chatgroups", post(groups::create).get(groups::list))
        .route("/publicchatgroups", get(groups::list_public))
        .route("/users/{user}/joined_chatgroups", get(groups::joined))
        .route("/chatgroups/user/{user}", get(groups::joined_in_detail))
        .route("/chatgroups/user/{user}/joined_count", get(groups::joined_count))
        .route(
            "/chatgroups/{id}",
            get(channel_details::details::<Groups>)
                .put(channel_change::change::<Groups>)
                .delete(channel_change::destroy::<Groups>),
        )
        .route(
            "/chatgroups/{id}/users",
            get(channel_members::list::<Groups>).post(channel_members::add_many::<Groups>),
        )
        .route(
            "/chatgroups/{id}/users/{user}",
            post(channel_members::add_one::<Groups>).delete(channel_members::remove::<Groups>),
        )
        .route("/chatgroups/{id}/invite", post(channel_members::invite::<Groups>))
        .route("/chatgroups/{id}/apply", post(channel_standing::apply::<Groups>))
        .route("/chatgroups/{id}/quit", delete(channel_standing::quit::<Groups>))
        .route("/chatgroups/{id}/user/{user}/is_joined", get(channel_standing::is_joined::<Groups>))
}

/// Chat rooms: features.md §3.8.
fn of_rooms() -> Router {
    Router::new()
        .route("/chatrooms", post(rooms::create).get(rooms::list))
        .route("/users/{user}/joined_chatrooms", get(rooms::joined))
        .route(
            "/chatrooms/{id}",
            get(channel_details::details::<Rooms>)
                .put(channel_change::change::<Rooms>)
                .delete(channel_change::destroy::<Rooms>),
        )
        .route(
            "/chatrooms/{id}/users",
            get(channel_members::list::<Rooms>).post(channel_members::add_many::<Rooms>),
        )
        .route(
            "/chatrooms/{id}/users/{user}",
            post(channel_members::add_one::<Rooms>).delete(channel_members::remove::<Rooms>),
        )
        .route("/chatrooms/{id}/quit", delete(channel_standing::quit::<Rooms>))
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
