//! Services in memory for the tests of this module: just enough of auth and router to be called.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bulkhead_api::{AuthApi, DeliverySink, PendingPublish, RouterApi};
use bulkhead_model::{AppUuid, ErrorKind, ManualClock, Region, Result, SeededEntropy};
use bulkhead_proto::auth::*;
use bulkhead_proto::records::{App, User};
use bulkhead_proto::router::{
    self, ChangeOwnerRequest, ChannelInfo, ChannelPage, ChannelRequest, ChannelsOfAppRequest,
    ChannelsOfUserRequest, CloseSessionRequest, ConfirmRequest, CreateChannelRequest, DeviceList,
    DisconnectRequest, Disconnected, HistoryRequest, JoinRequest, Joined, ListMembersRequest, Member,
    MemberPage, MemberRequest, MembersChanged, MembersRequest, MessageDelivered, MessageStatusRequest,
    OfflineCount, OpenSessionRequest, OpenedSession, Page, PageMessage, PresenceList, PresenceRequest,
    PublishRequest, Published, PullRequest, SessionRequest, UnreadQueues, UpdateChannelRequest,
};
use bytes::Bytes;
use parking_lot::Mutex;

use super::call::{Call, CallParts, read_query};
use super::fake_attachments::FakeAttachments;
use super::fake_channels::{Asked, FakeChannels};
use crate::{Dependencies, Gateway, GatewaySettings};

pub(super) const NOW_MS: u64 = 1_800_000_000_000;
pub(crate) const APP: AppUuid = AppUuid([1; 16]);
pub(super) const APP_TOKEN: &str = "app-token";
pub(crate) const ALICE_TOKEN: &str = "alice-token";

/// An app `demo#chat` with the users alice and bob, and what was asked of its router.
pub(crate) struct Fakes {
    pub(crate) auth: Arc<FakeAuth>,
    pub(super) router: Arc<FakeRouter>,
    pub(super) attachments: Arc<FakeAttachments>,
    pub(super) settings: GatewaySettings,
}

impl Fakes {
    pub(crate) fn new() -> Self {
        let mut settings = GatewaySettings::new("https://chat.example");
        settings.homes = BTreeMap::from([(Region::Frankfurt, "https://frankfurt.example".to_owned())]);
        settings.app_rate_per_s = 10_000;
        Self { auth: Arc::default(), router: Arc::default(), attachments: Arc::default(), settings }
    }

    pub(crate) fn gateway(&self) -> Arc<Gateway> {
        Gateway::new(
            Dependencies {
                region: Region::Singapore,
                auth: self.auth.clone(),
                router: self.router.clone(),
                attachments: self.attachments.clone(),
                clock: Arc::new(ManualClock::at(NOW_MS)),
                entropy: Arc::new(SeededEntropy::new(1)),
            },
            self.settings.clone(),
        )
    }
}

/// A call to `demo#chat`, as the dispatcher would make it.
pub(super) fn call(path: &str, query: &str) -> Call {
    let fakes = Fakes::new();
    Call::new(CallParts {
        gateway: fakes.gateway(),
        app: fakes.auth.app(),
        app_uuid: APP,
        began_ms: NOW_MS,
        path: path.to_owned(),
        uri: format!("https://chat.example/demo/chat{path}"),
        query: read_query(&format!("/x?{query}").parse().unwrap()).unwrap(),
    })
}

#[derive(Default)]
pub(crate) struct FakeAuth {
    pub(super) open_registration: Mutex<bool>,
    pub(super) revoked: Mutex<Vec<String>>,
    /// How every grant stands, and which were asked for: their users, and whether only for the app's sake.
    pub(crate) standing: Mutex<GrantStanding>,
    pub(crate) checked: Mutex<Vec<(Vec<String>, bool)>>,
    added: Mutex<Vec<User>>,
}

impl FakeAuth {
    pub(super) fn app(&self) -> App {
        App {
            uuid: Bytes::copy_from_slice(&APP.0),
            org_name: "demo".into(),
            app_name: "chat".into(),
            open_registration: *self.open_registration.lock(),
            ..App::default()
        }
    }

    fn users(&self) -> Vec<User> {
        let user = |name: &str, byte: u8| User {
            uuid: Bytes::from(vec![byte; 16]),
            username: name.into(),
            activated: true,
            ..User::default()
        };
        let mut users = vec![user("alice", 2), user("bob", 3)];
        users.extend(self.added.lock().iter().cloned());
        users
    }

    fn find(&self, name: &str) -> Result<User> {
        self.users()
            .into_iter()
            .find(|user| {
                user.username == name || AppUuid::from_slice(&user.uuid).unwrap().to_string() == name
            })
            .ok_or_else(|| ErrorKind::UserNotFound.into())
    }

    fn token(user: Option<User>) -> GrantedToken {
        GrantedToken { access_token: "granted".into(), expires_ms: NOW_MS + 60_000, issued_ms: NOW_MS, user }
    }
}

fn unused<T>() -> Result<T> {
    Err(ErrorKind::Unimplemented.into())
}

#[async_trait]
impl AuthApi for FakeAuth {
    async fn create_app(&self, _: CreateAppRequest) -> Result<CreatedApp> {
        unused()
    }
    async fn list_apps(&self, _: ListAppsRequest) -> Result<AppList> {
        unused()
    }
    async fn find_app(&self, request: FindAppRequest) -> Result<App> {
        match request.by {
            Some(find_app_request::By::AppKey(key)) if key == "demo#chat" => Ok(self.app()),
            Some(find_app_request::By::AppId(id)) if id.starts_with("61") => Ok(self.app()),
            Some(find_app_request::By::AppId(id)) if id.starts_with("71") => {
                Err(ErrorKind::WrongRegion.with("frankfurt"))
            }
            Some(find_app_request::By::AppKey(key)) if key == "demo#panics" => panic!("as the test asks"),
            Some(find_app_request::By::AppKey(key)) if key == "demo#hangs" => std::future::pending().await,
            _ => Err(ErrorKind::AppNotFound.into()),
        }
    }
    async fn show_app(&self, _: FindAppRequest) -> Result<App> {
        unused()
    }
    async fn update_app(&self, _: UpdateAppRequest) -> Result<App> {
        unused()
    }
    async fn authenticate(&self, request: AuthenticateRequest) -> Result<Identity> {
        let identity = Identity { app: request.app, expires_ms: NOW_MS + 1000, ..Identity::default() };
        match request.token.as_str() {
            APP_TOKEN => Ok(identity),
            ALICE_TOKEN => {
                let alice = self.find("alice")?;
                Ok(Identity { username: alice.username, user_uuid: alice.uuid, ..identity })
            }
            "no-certificate" => Ok(Identity { without_certificate: true, ..identity }),
            "deactivated" => Err(ErrorKind::UserNotActivated.into()),
            "expired" => Err(ErrorKind::TokenExpired.into()),
            _ => Err(ErrorKind::Unauthenticated.into()),
        }
    }
    async fn grant_client_credentials(&self, request: ClientCredentialsGrant) -> Result<GrantedToken> {
        if request.client_secret == "secret" {
            Ok(Self::token(None))
        } else {
            Err(ErrorKind::WrongClientSecret.into())
        }
    }
    async fn grant_password(&self, request: PasswordGrant) -> Result<GrantedToken> {
        let user = self.find(&request.username)?;
        if request.password == "right" {
            Ok(Self::token(Some(user)))
        } else {
            Err(ErrorKind::WrongPassword.into())
        }
    }
    async fn grant_inherit(&self, request: InheritGrant) -> Result<GrantedToken> {
        Ok(Self::token(Some(self.find(&request.username)?)))
    }
    async fn exchange_token(&self, request: AuthenticateRequest) -> Result<GrantedToken> {
        if request.token.starts_with("007") {
            Ok(Self::token(None))
        } else {
            Err(ErrorKind::Unauthenticated.into())
        }
    }
    async fn revoke_token(&self, request: RevokeTokenRequest) -> Result<()> {
        let named = if request.token.is_empty() { hex::encode(request.token_sha256) } else { request.token };
        self.revoked.lock().push(named);
        Ok(())
    }
    async fn revoke_app_tokens(&self, request: RevokeAppTokensRequest) -> Result<()> {
        self.revoked.lock().push(format!("before {}", request.issued_before_ms));
        Ok(())
    }
    async fn changes(&self, _: ChangesRequest) -> Result<ChangedList> {
        std::future::pending().await
    }
    async fn check_grants(&self, request: CheckGrantsRequest) -> Result<GrantStandings> {
        let standings = vec![(*self.standing.lock()).into(); request.grants.len()];
        let users = request.grants.into_iter().map(|held| held.username).collect();
        self.checked.lock().push((users, request.app_only));
        Ok(GrantStandings { standings })
    }
    async fn revoke_user_tokens(&self, request: UserRequest) -> Result<()> {
        self.revoked.lock().push(request.user);
        Ok(())
    }
    async fn register_users(&self, request: RegisterUsersRequest) -> Result<RegisteredUsers> {
        let outcomes = request
            .users
            .into_iter()
            .map(|new| {
                let outcome = if self.find(&new.username).is_ok() {
                    let kind = ErrorKind::UserExists;
                    registration::Outcome::Failure(Failure {
                        kind: kind.name().into(),
                        message: kind.text().into(),
                    })
                } else {
                    let user = User {
                        uuid: Bytes::from(vec![9; 16]),
                        username: new.username.clone(),
                        nickname: new.nickname,
                        activated: true,
                        ..User::default()
                    };
                    self.added.lock().push(user.clone());
                    registration::Outcome::User(user)
                };
                Registration { username: new.username, outcome: Some(outcome) }
            })
            .collect();
        Ok(RegisteredUsers { outcomes })
    }
    async fn find_user(&self, request: UserRequest) -> Result<User> {
        self.find(&request.user)
    }
    async fn list_users(&self, request: ListUsersRequest) -> Result<UserList> {
        let users: Vec<User> = self.users().into_iter().take(request.limit as usize).collect();
        let next_cursor = if users.len() < self.users().len() { "more".into() } else { String::new() };
        Ok(UserList { users, next_cursor })
    }
    async fn update_user(&self, request: UpdateUserRequest) -> Result<User> {
        let mut user = self.find(&request.user)?;
        match request.change {
            Some(update_user_request::Change::Activated(activated)) => user.activated = activated,
            Some(update_user_request::Change::Nickname(nickname)) => user.nickname = Some(nickname),
            _ => {}
        }
        Ok(user)
    }
    async fn delete_user(&self, request: UserRequest) -> Result<User> {
        self.find(&request.user)
    }
}

#[derive(Default)]
pub(super) struct FakeRouter {
    pub(super) published: Mutex<Vec<PublishRequest>>,
    pub(super) disconnected: Mutex<Vec<(String, String, i32)>>,
    pub(super) forgotten: Mutex<Vec<String>>,
    pub(super) histories: Mutex<Vec<HistoryRequest>>,
    pub(super) channels: FakeChannels,
}

#[async_trait]
impl RouterApi for FakeRouter {
    async fn attach(&self, _: &str, _: Arc<dyn DeliverySink>) -> Result<()> {
        unused()
    }
    async fn detach(&self, _: &str) -> Result<()> {
        unused()
    }
    /// Refuses what is meant for "nobody"; ids count from 1.
    fn publish(&self, request: PublishRequest) -> PendingPublish {
        if request.to.as_ref().is_some_and(|to| to.name == "nobody") {
            return PendingPublish::refused(ErrorKind::UserNotFound.into());
        }
        let mut published = self.published.lock();
        published.push(request);
        let (sender, pending) = PendingPublish::new();
        let _ = sender.send(Ok(Published { id: published.len() as u64, ..Published::default() }));
        pending
    }
    async fn open_session(&self, _: OpenSessionRequest) -> Result<OpenedSession> {
        unused()
    }
    async fn close_session(&self, _: CloseSessionRequest) -> Result<()> {
        unused()
    }
    async fn unread(&self, _: SessionRequest) -> Result<UnreadQueues> {
        unused()
    }
    async fn pull(&self, _: PullRequest) -> Result<Page> {
        unused()
    }
    async fn confirm(&self, _: ConfirmRequest) -> Result<()> {
        unused()
    }
    async fn history(&self, request: HistoryRequest) -> Result<Page> {
        self.histories.lock().push(request);
        let messages = vec![PageMessage { id: 5, meta: Bytes::from_static(b"meta") }];
        Ok(Page { messages, next_key: 5, is_last: true })
    }
    async fn devices(&self, _: router::UserRequest) -> Result<DeviceList> {
        let device = router::OnlineDevice {
            device: "webim_1".into(),
            device_uuid: "uuid".into(),
            device_name: "webim".into(),
            platform: "web".into(),
        };
        Ok(DeviceList { devices: vec![device] })
    }
    async fn presence(&self, request: PresenceRequest) -> Result<PresenceList> {
        Ok(PresenceList { online: request.users.iter().map(|user| user == "alice").collect() })
    }
    async fn disconnect(&self, request: DisconnectRequest) -> Result<Disconnected> {
        self.disconnected.lock().push((request.user, request.device, request.reason));
        Ok(Disconnected { sessions: 0 })
    }
    async fn offline_count(&self, _: router::UserRequest) -> Result<OfflineCount> {
        Ok(OfflineCount { messages: 3 })
    }
    async fn message_status(&self, request: MessageStatusRequest) -> Result<MessageDelivered> {
        Ok(MessageDelivered { delivered: request.id == 1 })
    }
    async fn forget_user(&self, request: router::UserRequest) -> Result<()> {
        self.forgotten.lock().push(request.user);
        Ok(())
    }
    async fn create_channel(&self, request: CreateChannelRequest) -> Result<ChannelInfo> {
        self.channels.answer_info(Asked::Create(request))
    }
    async fn destroy_channel(&self, request: ChannelRequest) -> Result<()> {
        self.channels.answer_info(Asked::Destroy(request)).map(|_| ())
    }
    async fn update_channel(&self, request: UpdateChannelRequest) -> Result<ChannelInfo> {
        self.channels.answer_info(Asked::Update(request))
    }
    async fn change_owner(&self, request: ChangeOwnerRequest) -> Result<ChannelInfo> {
        self.channels.answer_info(Asked::Owner(request))
    }
    async fn channel(&self, request: ChannelRequest) -> Result<ChannelInfo> {
        self.channels.answer_info(Asked::Find(request))
    }
    async fn channels_of_app(&self, request: ChannelsOfAppRequest) -> Result<ChannelPage> {
        self.channels.answer_page(Asked::OfApp(request))
    }
    async fn channels_of_user(&self, request: ChannelsOfUserRequest) -> Result<ChannelPage> {
        self.channels.answer_page(Asked::OfUser(request))
    }
    async fn add_members(&self, request: MembersRequest) -> Result<MembersChanged> {
        self.channels.answer_changes(&request.users.clone(), Asked::Add(request))
    }
    async fn remove_members(&self, request: MembersRequest) -> Result<MembersChanged> {
        self.channels.answer_changes(&request.users.clone(), Asked::Remove(request))
    }
    async fn join(&self, request: JoinRequest) -> Result<Joined> {
        let info = self.channels.answer_info(Asked::Join(request))?;
        Ok(Joined { channel: Some(info), already: false })
    }
    async fn leave(&self, request: MemberRequest) -> Result<()> {
        self.channels.answer_info(Asked::Leave(request)).map(|_| ())
    }
    async fn members(&self, request: ListMembersRequest) -> Result<MemberPage> {
        self.channels.answer_members(request)
    }
    async fn member(&self, request: MemberRequest) -> Result<Member> {
        self.channels.answer_member(request)
    }
}
