use async_trait::async_trait;
use bulkhead_model::Result;
use bulkhead_proto::auth::{
    AppList, AuthenticateRequest, ChangedList, ChangesRequest, CheckGrantsRequest, ClientCredentialsGrant,
    CreateAppRequest, CreatedApp, FindAppRequest, GrantStandings, GrantedToken, Identity, InheritGrant,
    ListAppsRequest, ListUsersRequest, PasswordGrant, RegisterUsersRequest, RegisteredUsers,
    RevokeAppTokensRequest, RevokeTokenRequest, UpdateAppRequest, UpdateUserRequest, UserList, UserRequest,
};
use bulkhead_proto::records::{App, User};

/// Judges credentials, issues and revokes tokens, keeps apps and users.
///
/// Every method may answer `Unavailable` or `Timeout` when the service or its store does not answer, and
/// `InvalidArgument` for a request outside its documented bounds.
#[async_trait]
pub trait AuthApi: Send + Sync + 'static {
    /// Makes an app in this region, for ever. `Conflict` when the AppKey or App ID is taken.
    async fn create_app(&self, request: CreateAppRequest) -> Result<CreatedApp>;
    /// Apps of this region in the order of their AppKeys.
    async fn list_apps(&self, request: ListAppsRequest) -> Result<AppList>;
    /// `AppNotFound`; `WrongRegion` (its text is the home region's name) when the App ID names another region.
    /// The answer is without the app's certificates: what serves clients cannot make tokens.
    async fn find_app(&self, request: FindAppRequest) -> Result<App>;
    /// The same with the certificates, for the app's owner and operator.
    async fn show_app(&self, request: FindAppRequest) -> Result<App>;
    /// Changes one setting of an app and answers the app as it is then.
    async fn update_app(&self, request: UpdateAppRequest) -> Result<App>;

    /// Judges a bearer or login token: AccessToken2 or opaque. `Unauthenticated`, `TokenExpired`, `UserNotFound`,
    /// `UserNotActivated`. With `username` set, the token must be that user's.
    async fn authenticate(&self, request: AuthenticateRequest) -> Result<Identity>;
    /// An app token for client id and secret. `WrongClientSecret`.
    async fn grant_client_credentials(&self, request: ClientCredentialsGrant) -> Result<GrantedToken>;
    /// A user token for a password. `UserNotFound`, `WrongPassword`, `UserNotActivated`.
    async fn grant_password(&self, request: PasswordGrant) -> Result<GrantedToken>;
    /// A user token without a password, for a caller with app privilege. `UserNotFound` unless the user is made.
    async fn grant_inherit(&self, request: InheritGrant) -> Result<GrantedToken>;
    /// An opaque token with the privilege and remaining life of a valid AccessToken2.
    async fn exchange_token(&self, request: AuthenticateRequest) -> Result<GrantedToken>;
    /// Ends one token at once, of either form, and the tokens that were given for it. One that is not known is no error.
    async fn revoke_token(&self, request: RevokeTokenRequest) -> Result<()>;
    /// Ends every token of a user that was issued until now; an AccessToken2 also when it was issued in this second.
    async fn revoke_user_tokens(&self, request: UserRequest) -> Result<()>;
    /// Ends every token of an app that was issued before an instant. `InvalidArgument` for one in the future.
    async fn revoke_app_tokens(&self, request: RevokeAppTokensRequest) -> Result<()>;
    /// Waits until something changes by which credentials are judged, or the time is over.
    async fn changes(&self, request: ChangesRequest) -> Result<ChangedList>;
    /// Whether those who were let in may stay, by what is stored at this instant.
    async fn check_grants(&self, request: CheckGrantsRequest) -> Result<GrantStandings>;

    /// Registers users; each has its own outcome. Failures: `InvalidArgument`, `UserExists`.
    async fn register_users(&self, request: RegisterUsersRequest) -> Result<RegisteredUsers>;
    /// `UserNotFound`.
    async fn find_user(&self, request: UserRequest) -> Result<User>;
    /// Users in the order of their registration.
    async fn list_users(&self, request: ListUsersRequest) -> Result<UserList>;
    /// Changes one attribute of a user and answers the user as it is then. `UserNotFound`.
    async fn update_user(&self, request: UpdateUserRequest) -> Result<User>;
    /// Deletes a user and answers the user as it was. `UserNotFound`.
    async fn delete_user(&self, request: UserRequest) -> Result<User>;
}
