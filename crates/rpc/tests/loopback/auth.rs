use std::sync::Arc;

use crate::support::{REGION, Serving};
use async_trait::async_trait;
use bulkhead_api::AuthApi;
use bulkhead_model::{ErrorKind, Result};
use bulkhead_proto::auth::{
    AppList, AuthenticateRequest, ChangedList, ChangesRequest, CheckGrantsRequest, ClientCredentialsGrant,
    CreateAppRequest, CreatedApp, FindAppRequest, GrantStandings, GrantedToken, Identity, InheritGrant,
    ListAppsRequest, ListUsersRequest, PasswordGrant, RegisterUsersRequest, RegisteredUsers,
    RevokeAppTokensRequest, RevokeTokenRequest, UpdateAppRequest, UpdateUserRequest, UserList, UserRequest,
};
use bulkhead_proto::records::{App, User};
use bulkhead_rpc::{AuthClient, RpcServer};

/// Fails `authenticate` with the kind that the token names, and fills a user's name into what answers one.
pub(crate) struct EchoAuth {
    /// The version of the apps that `find_app` answers.
    pub(crate) version: u64,
}

#[async_trait]
impl AuthApi for EchoAuth {
    async fn authenticate(&self, request: AuthenticateRequest) -> Result<Identity> {
        match ErrorKind::from_name(&request.token) {
            Some(kind) => Err(kind.with(format!("words of {}", kind.name()))),
            None => Ok(Identity { app: request.app, username: request.username, ..Default::default() }),
        }
    }

    async fn create_app(&self, request: CreateAppRequest) -> Result<CreatedApp> {
        Ok(CreatedApp { client_secret: request.org_name, ..Default::default() })
    }

    async fn list_apps(&self, _: ListAppsRequest) -> Result<AppList> {
        Ok(AppList { apps: vec![App::default(); 3] })
    }

    async fn find_app(&self, _: FindAppRequest) -> Result<App> {
        Ok(App { version: self.version, ..Default::default() })
    }

    async fn show_app(&self, _: FindAppRequest) -> Result<App> {
        Ok(App { version: 6, ..Default::default() })
    }

    async fn update_app(&self, _: UpdateAppRequest) -> Result<App> {
        Ok(App { version: 5, ..Default::default() })
    }

    async fn grant_client_credentials(&self, _: ClientCredentialsGrant) -> Result<GrantedToken> {
        Ok(GrantedToken { expires_ms: 1, ..Default::default() })
    }

    async fn grant_password(&self, _: PasswordGrant) -> Result<GrantedToken> {
        Ok(GrantedToken { expires_ms: 2, ..Default::default() })
    }

    async fn grant_inherit(&self, _: InheritGrant) -> Result<GrantedToken> {
        Ok(GrantedToken { expires_ms: 3, ..Default::default() })
    }

    async fn exchange_token(&self, _: AuthenticateRequest) -> Result<GrantedToken> {
        Ok(GrantedToken { expires_ms: 4, ..Default::default() })
    }

    async fn revoke_token(&self, _: RevokeTokenRequest) -> Result<()> {
        Ok(())
    }

    async fn revoke_user_tokens(&self, _: UserRequest) -> Result<()> {
        Err(ErrorKind::UserNotFound.into())
    }

    async fn revoke_app_tokens(&self, _: RevokeAppTokensRequest) -> Result<()> {
        Err(ErrorKind::AppNotFound.into())
    }

    async fn changes(&self, request: ChangesRequest) -> Result<ChangedList> {
        Ok(ChangedList { sequence: request.sequence + 1, ..Default::default() })
    }

    async fn check_grants(&self, request: CheckGrantsRequest) -> Result<GrantStandings> {
        Ok(GrantStandings { standings: vec![0; request.grants.len()] })
    }

    async fn register_users(&self, _: RegisterUsersRequest) -> Result<RegisteredUsers> {
        Ok(RegisteredUsers::default())
    }

    async fn find_user(&self, request: UserRequest) -> Result<User> {
        Ok(User { username: request.user, ..Default::default() })
    }

    async fn list_users(&self, request: ListUsersRequest) -> Result<UserList> {
        Ok(UserList { next_cursor: request.cursor, ..Default::default() })
    }

    async fn update_user(&self, request: UpdateUserRequest) -> Result<User> {
        Ok(User { username: request.user, ..Default::default() })
    }

    async fn delete_user(&self, request: UserRequest) -> Result<User> {
        Ok(User { username: request.user, ..Default::default() })
    }
}

async fn serve() -> (Serving, AuthClient) {
    let serving =
        Serving::start(|stop| RpcServer::auth(REGION, Arc::new(EchoAuth { version: 4 }), stop)).await;
    let client = AuthClient::new(serving.peer(REGION));
    (serving, client)
}

#[tokio::test]
async fn every_kind_of_error_comes_back_as_it_was_sent() {
    let (serving, client) = serve().await;
    for kind in ErrorKind::ALL {
        let request = AuthenticateRequest { token: kind.name().to_owned(), ..Default::default() };
        let error = client.authenticate(request).await.unwrap_err();
        assert_eq!(error, kind.with(format!("words of {}", kind.name())));
    }
    serving.stop().await;
}

#[tokio::test]
async fn every_call_reaches_the_method_of_its_name() {
    let (serving, client) = serve().await;
    let user = || UserRequest { user: "alice".to_owned(), ..Default::default() };
    let identity = AuthenticateRequest { username: "alice".to_owned(), ..Default::default() };
    assert_eq!(client.authenticate(identity.clone()).await.unwrap().username, "alice");
    let create = CreateAppRequest { org_name: "demo".to_owned(), ..Default::default() };
    assert_eq!(client.create_app(create).await.unwrap().client_secret, "demo");
    assert_eq!(client.list_apps(ListAppsRequest::default()).await.unwrap().apps.len(), 3);
    assert_eq!(client.find_app(FindAppRequest::default()).await.unwrap().version, 4);
    assert_eq!(client.show_app(FindAppRequest::default()).await.unwrap().version, 6);
    assert_eq!(client.update_app(UpdateAppRequest::default()).await.unwrap().version, 5);
    let grant = client.grant_client_credentials(ClientCredentialsGrant::default()).await;
    assert_eq!(grant.unwrap().expires_ms, 1);
    assert_eq!(client.grant_password(PasswordGrant::default()).await.unwrap().expires_ms, 2);
    assert_eq!(client.grant_inherit(InheritGrant::default()).await.unwrap().expires_ms, 3);
    assert_eq!(client.exchange_token(identity).await.unwrap().expires_ms, 4);
    client.revoke_token(RevokeTokenRequest::default()).await.unwrap();
    assert_eq!(client.revoke_user_tokens(user()).await, Err(ErrorKind::UserNotFound.into()));
    let all = client.revoke_app_tokens(RevokeAppTokensRequest::default()).await;
    assert_eq!(all, Err(ErrorKind::AppNotFound.into()));
    let since = ChangesRequest { sequence: 6, ..Default::default() };
    assert_eq!(client.changes(since).await.unwrap().sequence, 7);
    let grants = CheckGrantsRequest { grants: vec![Default::default(); 2], ..Default::default() };
    assert_eq!(client.check_grants(grants).await.unwrap().standings, [0, 0]);
    client.register_users(RegisterUsersRequest::default()).await.unwrap();
    assert_eq!(client.find_user(user()).await.unwrap().username, "alice");
    let list = ListUsersRequest { cursor: "c".to_owned(), ..Default::default() };
    assert_eq!(client.list_users(list).await.unwrap().next_cursor, "c");
    let update = UpdateUserRequest { user: "bob".to_owned(), ..Default::default() };
    assert_eq!(client.update_user(update).await.unwrap().username, "bob");
    assert_eq!(client.delete_user(user()).await.unwrap().username, "alice");
    serving.stop().await;
}

#[tokio::test]
async fn a_service_that_is_not_there_is_unavailable_and_is_found_when_it_comes() {
    let (serving, client) = serve().await;
    let address = serving.address;
    serving.stop().await;
    let error = client.find_app(FindAppRequest::default()).await.unwrap_err();
    assert_eq!(error, ErrorKind::Unavailable.into());
    let serving =
        Serving::start_on(address, |stop| RpcServer::auth(REGION, Arc::new(EchoAuth { version: 4 }), stop))
            .await;
    assert_eq!(client.find_app(FindAppRequest::default()).await.unwrap().version, 4);
    serving.stop().await;
}
