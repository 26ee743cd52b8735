use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bulkhead_api::AuthApi;
use bulkhead_model::{AppUuid, Clock, Entropy, Region, Result};
use bulkhead_proto::auth::{
    AppList, AuthenticateRequest, ChangedList, ChangesRequest, CheckGrantsRequest, ClientCredentialsGrant,
    CreateAppRequest, CreatedApp, FindAppRequest, GrantStandings, GrantedToken, Identity, InheritGrant,
    ListAppsRequest, ListUsersRequest, PasswordGrant, RegisterUsersRequest, RegisteredUsers,
    RevokeAppTokensRequest, RevokeTokenRequest, UpdateAppRequest, UpdateUserRequest, UserList, UserRequest,
};
use bulkhead_proto::records::{App, User};
use bulkhead_store::Store;
use moka::sync::Cache;

use crate::AuthSettings;
use crate::authenticate::Verdict;
use crate::changes::Changes;
use crate::passwords::Passwords;
use crate::shown;

/// How much longer a revocation is remembered than a verdict that was made just before it.
const ENDED_MARGIN: Duration = Duration::from_secs(10);

/// Apps, users and credentials of one region.
pub struct AuthService {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) region: Region,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) passwords: Passwords,
    pub(crate) apps: Cache<AppUuid, Arc<App>>,
    /// AppKeys, and App IDs in lower case, to the app's identity.
    pub(crate) names: Cache<String, AppUuid>,
    pub(crate) users: Cache<(AppUuid, String), Arc<User>>,
    pub(crate) verdicts: Cache<(AppUuid, [u8; 32]), Verdict>,
    /// Tokens that were revoked for less long than a verdict is remembered: what was given for one ends with it.
    pub(crate) ended: Cache<(AppUuid, [u8; 32]), ()>,
    pub(crate) changes: Changes,
}

impl AuthService {
    /// The service on a store.
    pub fn new(
        store: Arc<dyn Store>,
        region: Region,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        settings: AuthSettings,
    ) -> Arc<Self> {
        let life = Duration::from_millis(settings.cache_ttl_ms);
        Arc::new(Self {
            store,
            region,
            clock,
            changes: Changes::new(&*entropy),
            entropy: entropy.clone(),
            passwords: Passwords::new(settings.passwords, entropy),
            apps: cache(settings.apps_cached_max, life.min(APP_LIFE_MAX)),
            names: cache(2 * settings.apps_cached_max, life),
            users: cache(settings.users_cached_max, life),
            verdicts: cache(settings.tokens_cached_max, life),
            ended: cache(settings.tokens_cached_max, life + ENDED_MARGIN),
        })
    }
}

/// How long an app's record is remembered at most: until then this process goes by what it was before another one changed it.
const APP_LIFE_MAX: Duration = Duration::from_secs(1);

fn cache<K, V>(entries_max: u64, life: Duration) -> Cache<K, V>
where
    K: std::hash::Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    Cache::builder().max_capacity(entries_max).time_to_live(life).build()
}

#[async_trait]
impl AuthApi for AuthService {
    async fn create_app(&self, request: CreateAppRequest) -> Result<CreatedApp> {
        self.make_app(request).await
    }

    async fn list_apps(&self, request: ListAppsRequest) -> Result<AppList> {
        self.page_of_apps(request).await
    }

    async fn find_app(&self, request: FindAppRequest) -> Result<App> {
        self.look_up_app(request).await.map(Arc::unwrap_or_clone).map(shown::public_app)
    }

    async fn show_app(&self, request: FindAppRequest) -> Result<App> {
        self.look_up_app(request).await.map(Arc::unwrap_or_clone).map(shown::app)
    }

    async fn update_app(&self, request: UpdateAppRequest) -> Result<App> {
        self.change_app(request).await.map(shown::app)
    }

    async fn authenticate(&self, request: AuthenticateRequest) -> Result<Identity> {
        self.judge(&request).await
    }

    async fn grant_client_credentials(&self, request: ClientCredentialsGrant) -> Result<GrantedToken> {
        self.grant_to_client(request).await
    }

    async fn grant_password(&self, request: PasswordGrant) -> Result<GrantedToken> {
        self.grant_for_password(request).await
    }

    async fn grant_inherit(&self, request: InheritGrant) -> Result<GrantedToken> {
        self.grant_on_behalf(request).await
    }

    async fn exchange_token(&self, request: AuthenticateRequest) -> Result<GrantedToken> {
        self.exchange(request).await
    }

    async fn revoke_token(&self, request: RevokeTokenRequest) -> Result<()> {
        self.revoke_one(request).await
    }

    async fn revoke_user_tokens(&self, request: UserRequest) -> Result<()> {
        self.revoke_of_user(request).await
    }

    async fn revoke_app_tokens(&self, request: RevokeAppTokensRequest) -> Result<()> {
        self.revoke_of_app(request).await
    }

    async fn changes(&self, request: ChangesRequest) -> Result<ChangedList> {
        self.next_changes(request).await
    }

    async fn check_grants(&self, request: CheckGrantsRequest) -> Result<GrantStandings> {
        self.check_held(request).await
    }

    async fn register_users(&self, request: RegisterUsersRequest) -> Result<RegisteredUsers> {
        self.register(request).await
    }

    async fn find_user(&self, request: UserRequest) -> Result<User> {
        let app = AppUuid::from_slice(&request.app)?;
        self.user(app, &request.user).await.map(Arc::unwrap_or_clone).map(shown::user)
    }

    async fn list_users(&self, request: ListUsersRequest) -> Result<UserList> {
        self.page_of_users(request).await
    }

    async fn update_user(&self, request: UpdateUserRequest) -> Result<User> {
        self.change_user(request).await.map(shown::user)
    }

    async fn delete_user(&self, request: UserRequest) -> Result<User> {
        self.remove_user(request).await.map(shown::user)
    }
}
