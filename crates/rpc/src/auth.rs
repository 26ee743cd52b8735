use std::sync::Arc;

use bulkhead_api::AuthApi;
use bulkhead_proto::auth::{
    AppList, AuthenticateRequest, ChangedList, ChangesRequest, CheckGrantsRequest, ClientCredentialsGrant,
    CreateAppRequest, CreatedApp, Done, FindAppRequest, GrantStandings, GrantedToken, Identity, InheritGrant,
    ListAppsRequest, ListUsersRequest, PasswordGrant, RegisterUsersRequest, RegisteredUsers,
    RevokeAppTokensRequest, RevokeTokenRequest, UpdateAppRequest, UpdateUserRequest, UserList, UserRequest,
    auth_client, auth_server,
};
use bulkhead_proto::records::{App, User};

use crate::Peer;
use crate::guard::RegionChannel;
use crate::limits::AUTH_MESSAGE_BYTES_MAX;
use crate::unary::unary_calls;

/// The auth service's gRPC server: any [`AuthApi`] behind it.
pub struct AuthServer {
    api: Arc<dyn AuthApi>,
}

impl AuthServer {
    /// Wraps `api` for [`crate::RpcServer`].
    pub(crate) fn service(api: Arc<dyn AuthApi>) -> auth_server::AuthServer<Self> {
        auth_server::AuthServer::new(Self { api })
            .max_decoding_message_size(AUTH_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(AUTH_MESSAGE_BYTES_MAX)
    }
}

/// The auth service of another process.
#[derive(Clone, Debug)]
pub struct AuthClient {
    grpc: auth_client::AuthClient<RegionChannel>,
}

impl AuthClient {
    /// The auth service at `peer`.
    pub fn new(peer: Peer) -> Self {
        let grpc = auth_client::AuthClient::new(peer.channel)
            .max_decoding_message_size(AUTH_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(AUTH_MESSAGE_BYTES_MAX);
        Self { grpc }
    }
}

unary_calls! {
    AuthApi, auth_server::Auth => AuthServer, AuthClient;
    answers {
        create_app = create_app (CreateAppRequest) -> CreatedApp;
        list_apps = list_apps (ListAppsRequest) -> AppList;
        find_app = find_app (FindAppRequest) -> App;
        show_app = show_app (FindAppRequest) -> App;
        update_app = update_app (UpdateAppRequest) -> App;
        changes = changes (ChangesRequest) -> ChangedList;
        check_grants = check_grants (CheckGrantsRequest) -> GrantStandings;
        authenticate = authenticate (AuthenticateRequest) -> Identity;
        grant_client_credentials = grant_client_credentials (ClientCredentialsGrant) -> GrantedToken;
        grant_password = grant_password (PasswordGrant) -> GrantedToken;
        grant_inherit = grant_inherit (InheritGrant) -> GrantedToken;
        exchange_token = exchange_token (AuthenticateRequest) -> GrantedToken;
        register_users = register_users (RegisterUsersRequest) -> RegisteredUsers;
        find_user = find_user (UserRequest) -> User;
        list_users = list_users (ListUsersRequest) -> UserList;
        update_user = update_user (UpdateUserRequest) -> User;
        delete_user = delete_user (UserRequest) -> User;
    }
    done {
        revoke_token (RevokeTokenRequest) -> Done;
        revoke_user_tokens (UserRequest) -> Done;
        revoke_app_tokens (RevokeAppTokensRequest) -> Done;
    }
    server {}
    client {}
}
