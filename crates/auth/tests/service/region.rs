use std::sync::Arc;

use bulkhead_api::AuthApi;
use bulkhead_auth::{AuthService, AuthSettings, PasswordSettings};
use bulkhead_model::{Clock, ErrorKind, ManualClock, Region, Result, SeededEntropy};
use bulkhead_proto::auth::registration::Outcome;
use bulkhead_proto::auth::update_app_request::Change as AppChange;
use bulkhead_proto::auth::update_user_request::Change as UserChange;
use bulkhead_proto::auth::{
    AuthenticateRequest, CheckGrantsRequest, ClientCredentialsGrant, CreateAppRequest, GrantStanding,
    GrantedToken, HeldGrant, Identity, InheritGrant, NewUser, PasswordGrant, RegisterUsersRequest,
    Registration, RevokeAppTokensRequest, RevokeTokenRequest, UpdateAppRequest, UpdateUserRequest,
    UserRequest,
};
use bulkhead_proto::records::{App, User};
use bulkhead_store::Store;
use bulkhead_store_embedded::EmbeddedStore;
use bulkhead_token::{build_chat_app_token, build_chat_user_token};
use bytes::Bytes;
use tempfile::TempDir;

/// 2026-01-01T00:00:00.500Z.
pub(crate) const START_MS: u64 = 1_767_225_600_500;

pub(crate) const PASSWORD: &str = "correct-horse";

/// Singapore with one app and its user `alice`, on a folder of its own and a clock that stands still.
pub(crate) struct TestRegion {
    pub(crate) auth: Arc<AuthService>,
    pub(crate) store: Arc<EmbeddedStore>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) app: App,
    pub(crate) client_secret: String,
    pub(crate) alice: User,
    _folder: TempDir,
}

impl TestRegion {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(START_MS));
        let store = EmbeddedStore::open(folder.path(), Region::Singapore, clock.clone()).unwrap();
        let auth = auth_on(store.clone(), clock.clone(), 1);
        let made = auth.create_app(create("demo", "chat", "")).await.unwrap();
        let app = made.app.unwrap();
        let alice = register(&auth, &app.uuid, "alice", PASSWORD).await;
        Self { auth, store, clock, app, client_secret: made.client_secret, alice, _folder: folder }
    }

    /// Another process of the auth service, on the same store.
    pub(crate) fn another_auth(&self) -> Arc<AuthService> {
        self.auth_on(self.store.clone())
    }

    /// The same on a store that the test has its hands on.
    pub(crate) fn auth_on(&self, store: Arc<dyn Store>) -> Arc<AuthService> {
        auth_on(store, self.clock.clone(), 2)
    }

    /// A bearer token that is shown to that process.
    pub(crate) async fn bearer_at(&self, auth: &AuthService, token: &str) -> Result<Identity> {
        let request = AuthenticateRequest {
            app: self.app.uuid.clone(),
            token: token.to_owned(),
            ..AuthenticateRequest::default()
        };
        auth.authenticate(request).await
    }

    /// An AccessToken2 for alice that says of itself what the arguments say, signed with the primary certificate.
    pub(crate) fn token_of(&self, issued_s: u32, life_s: u32, salt: u32) -> String {
        let certificate = &self.app.certificate_primary;
        build_chat_user_token(&self.app.app_id, certificate, "alice", issued_s, life_s, salt).unwrap()
    }

    pub(crate) async fn revoke(&self, token: &str) -> Result<()> {
        let (app, token) = (self.app.uuid.clone(), token.to_owned());
        self.auth.revoke_token(RevokeTokenRequest { app, token, ..RevokeTokenRequest::default() }).await
    }

    pub(crate) async fn revoke_all(&self, issued_before_ms: u64) -> Result<()> {
        let request = RevokeAppTokensRequest { app: self.app.uuid.clone(), issued_before_ms };
        self.auth.revoke_app_tokens(request).await
    }

    /// How these stand, as far as the whole of what they depend on goes.
    pub(crate) async fn standings(&self, held: &[&Identity]) -> Vec<GrantStanding> {
        let of = |identity: &&Identity| HeldGrant {
            username: identity.username.clone(),
            grant: identity.grant.clone(),
        };
        let grants = held.iter().map(of).collect();
        let request = CheckGrantsRequest { app: self.app.uuid.clone(), grants, app_only: false };
        self.auth.check_grants(request).await.unwrap().standings().collect()
    }

    pub(crate) fn now_s(&self) -> u32 {
        (self.clock.now_ms() / 1000) as u32
    }

    /// An AccessToken2 for a user, as a back end makes it now.
    pub(crate) fn user_token(&self, certificate: &str, user: &str, life_s: u32) -> String {
        build_chat_user_token(&self.app.app_id, certificate, user, self.now_s(), life_s, 1).unwrap()
    }

    /// An AccessToken2 for the app.
    pub(crate) fn app_token(&self) -> String {
        let certificate = &self.app.certificate_primary;
        build_chat_app_token(&self.app.app_id, certificate, self.now_s(), 600, 1).unwrap()
    }

    /// What a REST request does with its bearer token.
    pub(crate) async fn bearer(&self, token: &str) -> Result<Identity> {
        self.login("", token).await
    }

    /// What a socket login does.
    pub(crate) async fn login(&self, username: &str, token: &str) -> Result<Identity> {
        let request = AuthenticateRequest {
            app: self.app.uuid.clone(),
            token: token.to_owned(),
            username: username.to_owned(),
        };
        self.auth.authenticate(request).await
    }

    pub(crate) async fn password_grant(
        &self,
        username: &str,
        password: &str,
        ttl_s: Option<u64>,
    ) -> Result<GrantedToken> {
        let request = PasswordGrant {
            app: self.app.uuid.clone(),
            username: username.to_owned(),
            password: password.to_owned(),
            ttl_s,
        };
        self.auth.grant_password(request).await
    }

    pub(crate) async fn inherit_grant(&self, username: &str, auto_create_user: bool) -> Result<GrantedToken> {
        let request = InheritGrant {
            app: self.app.uuid.clone(),
            username: username.to_owned(),
            auto_create_user,
            ttl_s: None,
        };
        self.auth.grant_inherit(request).await
    }

    pub(crate) async fn client_grant(&self, client_id: &str, client_secret: &str) -> Result<GrantedToken> {
        let request = ClientCredentialsGrant {
            app: self.app.uuid.clone(),
            client_id: client_id.to_owned(),
            client_secret: client_secret.to_owned(),
            ttl_s: None,
        };
        self.auth.grant_client_credentials(request).await
    }

    pub(crate) async fn change_app(&self, change: AppChange) -> Result<App> {
        self.auth.update_app(UpdateAppRequest { uuid: self.app.uuid.clone(), change: Some(change) }).await
    }

    pub(crate) async fn change_user(&self, user: &str, change: UserChange) -> Result<User> {
        let request =
            UpdateUserRequest { app: self.app.uuid.clone(), user: user.to_owned(), change: Some(change) };
        self.auth.update_user(request).await
    }

    pub(crate) fn user(&self, user: &str) -> UserRequest {
        UserRequest { app: self.app.uuid.clone(), user: user.to_owned() }
    }

    pub(crate) async fn register(&self, users: Vec<NewUser>) -> Result<Vec<Registration>> {
        let request = RegisterUsersRequest { app: self.app.uuid.clone(), users };
        self.auth.register_users(request).await.map(|answer| answer.outcomes)
    }

    pub(crate) fn alice_uuid(&self) -> String {
        let digits: String = self.alice.uuid.iter().map(|byte| format!("{byte:02x}")).collect();
        [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
    }
}

fn auth_on(store: Arc<dyn Store>, clock: Arc<ManualClock>, seed: u64) -> Arc<AuthService> {
    let settings = AuthSettings { passwords: PasswordSettings::cheap(), ..AuthSettings::default() };
    let entropy = Arc::new(SeededEntropy::new(seed));
    AuthService::new(store, Region::Singapore, clock, entropy, settings)
}

pub(crate) fn create(org_name: &str, app_name: &str, app_id: &str) -> CreateAppRequest {
    CreateAppRequest {
        org_name: org_name.into(),
        app_name: app_name.into(),
        app_id: app_id.into(),
        plan: String::new(),
    }
}

pub(crate) fn new_user(username: &str) -> NewUser {
    NewUser { username: username.into(), ..NewUser::default() }
}

pub(crate) async fn register(auth: &AuthService, app: &Bytes, username: &str, password: &str) -> User {
    let user = NewUser { password: password.into(), ..new_user(username) };
    let request = RegisterUsersRequest { app: app.clone(), users: vec![user] };
    match auth.register_users(request).await.unwrap().outcomes.pop().unwrap().outcome.unwrap() {
        Outcome::User(user) => user,
        Outcome::Failure(failure) => panic!("{}: {}", failure.kind, failure.message),
    }
}

/// The kind of a refusal.
pub(crate) fn refused<T>(outcome: Result<T>) -> ErrorKind {
    match outcome {
        Ok(_) => panic!("was not refused"),
        Err(error) => error.kind(),
    }
}
