//! Documented calls that are not built: 501, so that a client can tell them from a path that never was (404).
//!
//! A call leaves this table in the change that builds it.

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::any;
use http::Uri;

use super::error::RestError;

/// Paths below an app, by the section of features.md that documents them. `{*rest}` stands for a whole family.
const BELOW_APP: &[&str] = &[
    // §3.3 Contacts and block lists.
    "/contacts/check",
    "/contacts/users/{user}",
    "/user/{user}/contacts",
    "/user/{user}/contacts/users/{friend}",
    "/users/{user}/contacts",
    "/users/{user}/contacts/{*rest}",
    "/users/{user}/rosters",
    "/users/{user}/blocks/users",
    "/users/{user}/blocks/users/{blocked}",
    "/blocks/check",
    "/sdk/user/{user}/blocks",
    "/sdk/user/{user}/blocks/{blocked}",
    // §3.4 Sending to everybody; streams.
    "/messages/chatrooms/broadcast",
    "/messages/broadcast",
    "/messages/users/broadcast",
    "/stream_message/user",
    "/stream_message/chatgroup",
    // §3.5 Edit, recall, deletion, import, history files, attachments, translation.
    "/messages/rewrite/{msg_id}",
    "/messages/msg_recall",
    "/messages/recall",
    "/messages/batch_recall",
    "/messages/users/import",
    "/messages/chatgroups/import",
    "/users/{user}/user_channel",
    "/users/{user}/user_channels",
    "/users/{user}/user_channels/page",
    "/user/{user}/user_channel",
    "/user/{user}/user_channels",
    "/rest/message/roaming/{*rest}",
    "/chatmessages/{hour}",
    "/users/{user}/chatfiles/lifetime",
    "/translate",
    "/translate/support/language",
    "/translate/detect",
    "/users/{user}/translate",
    "/users/{user}/translate/support/language",
    // §3.6–§3.8 Groups and rooms: roles, lists, files.
    "/chatgroups/{id}/announcement",
    "/chatgroups/{id}/share_files",
    "/chatgroups/{id}/share_files/{file_id}",
    "/chatgroups/{id}/sharefiles",
    "/chatgroups/{id}/admin",
    "/chatgroups/{id}/admin/{user}",
    "/chatgroups/{id}/roles",
    "/chatgroups/{id}/blocks/users",
    "/chatgroups/{id}/blocks/users/{user}",
    "/chatgroups/{id}/white/users",
    "/chatgroups/{id}/white/users/{user}",
    "/chatgroups/{id}/mute",
    "/chatgroups/{id}/mute/{user}",
    "/chatgroups/{id}/ban",
    "/chatgroups/{id}/disable",
    "/chatgroups/{id}/enable",
    "/chatgroups/{id}/apply_verify",
    "/chatgroups/{id}/invite_verify",
    "/chatgroups/{id}/shield",
    "/chatgroups/{id}/acks/{msg_id}",
    "/sdk/chatgroups/{*rest}",
    "/chatrooms/super_admin",
    "/chatrooms/super_admin/{user}",
    "/chatrooms/{id}/announcement",
    "/chatrooms/{id}/share_files",
    "/chatrooms/{id}/share_files/{file_id}",
    "/chatrooms/{id}/sharefiles",
    "/chatrooms/{id}/admin",
    "/chatrooms/{id}/admin/{user}",
    "/chatrooms/{id}/roles",
    "/chatrooms/{id}/blocks/users",
    "/chatrooms/{id}/blocks/users/{user}",
    "/chatrooms/{id}/white/users",
    "/chatrooms/{id}/white/users/{user}",
    "/chatrooms/{id}/mute",
    "/chatrooms/{id}/mute/{user}",
    "/chatrooms/{id}/ban",
    "/chatrooms/{id}/apply",
    "/chatrooms/{id}/users/{user}/tag",
    "/chatrooms/{id}/tag/mute",
    "/sdk/chatrooms/{*rest}",
    // §3.9 Threads.
    "/thread",
    "/thread/{*rest}",
    "/threads/{*rest}",
    // §3.10 Reactions.
    "/reaction/user/{user}",
    "/reaction/user/{user}/detail",
    // §3.11 Presence.
    "/users/{user}/presence",
    "/users/{user}/presence/sublist",
    "/users/{user}/presence/{expiry}",
    "/users/{user}/presence/{expiry}/{status}",
    "/presence/online/{group}/type/{kind}",
    // §3.12 Attributes of users, group members and rooms.
    "/metadata/{*rest}",
    "/sdk/metadata/{*rest}",
    // §3.13 Mutes.
    "/mutes",
    "/mutes/{user}",
    // §3.14 Push.
    "/users/{user}/notification",
    "/users/{user}/notification/{*rest}",
    "/users/{user}/push/binding",
    "/notification/template",
    "/notification/template/{name}",
    "/push/{*rest}",
    // §3.15 Moderation, favourites, callbacks.
    "/user/{user}/moderation/report/message",
    "/user/{user}/moderation/report/message/{msg_id}",
    "/moderation/{*rest}",
    "/moderationfiles/{uuid}",
    "/users/{user}/collections",
    "/users/{user}/collections/{id}",
    "/collections",
    "/callbacks/storage/info",
    "/callbacks/storage/retry",
    // §4 What the client SDKs call.
    "/sdk/message/roaming/{*rest}",
    "/sdk/user/{user}/user_channels/list",
    "/sdk/user/{user}/user_channels/mark",
    "/sdk/user/{user}/user_channels/mark/search",
    "/sdk/user/{user}/user_channel/top",
    "/sdk/user/{user}/user_channel/pin",
    "/users/{user}/messages/search/get",
    "/sdk/chatfiles/part-upload",
    "/sdk/chatfiles/part-upload/{*rest}",
    "/sdk/users/{user}/client/logs",
    "/users/{user}/token/rtc",
    "/rtc_mapper/batch/get",
];

/// Paths that belong to no app (features.md §3.15).
const WITHOUT_APP: &[&str] = &["/easemob/server.json", "/easemob/logger/devicelogs"];

/// Adds the missing calls below an app.
pub(super) fn below_app(table: Router) -> Router {
    BELOW_APP.iter().fold(table, |table, path| table.route(path, any(not_built)))
}

/// Adds the missing calls that belong to no app.
pub(super) fn without_app<S: Clone + Send + Sync + 'static>(table: Router<S>) -> Router<S> {
    WITHOUT_APP.iter().fold(table, |table, path| table.route(path, any(not_built)))
}

async fn not_built(uri: Uri) -> impl IntoResponse {
    RestError::not_built(uri.path())
}
