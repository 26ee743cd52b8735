use std::time::Duration;

use bulkhead_api::{AuthApi, RouterApi};
use bulkhead_msync::proto::StatisticsBody;
use bulkhead_proto::auth::{self, RevokeTokenRequest, UpdateUserRequest, update_user_request::Change};
use bulkhead_proto::router::{DisconnectRequest, KickReason, UserRequest};
use prost::Message as _;

use crate::client::{Client, Down, text_of};
use crate::region::Region;

#[tokio::test]
async fn a_kick_tells_the_client_why_and_closes() {
    let region = Region::start().await;
    let mut alice = region.client("alice", "webim_1").await;
    let mut other = region.client("alice", "webim_2").await;
    let request = DisconnectRequest {
        app: region.app.clone(),
        user: "alice".into(),
        device: "webim_1".into(),
        reason: KickReason::PasswordChanged.into(),
    };
    assert_eq!(region.router.disconnect(request).await.unwrap().sessions, 1);
    let kick = alice.next_sync().await;
    let body = StatisticsBody::decode(kick.metas[0].payload.clone().unwrap()).unwrap();
    assert_eq!(body.operation, Some(3));
    // Not on the heels of the kick: the web SDK would take that for a lost connection and come back.
    let at_once = tokio::time::timeout(Duration::from_millis(100), alice.next()).await;
    assert!(at_once.is_err(), "the socket was closed before the client could read why");
    assert!(matches!(alice.next().await, Down::Closed(1000)));
    other.round_trip().await;
}

#[tokio::test]
async fn a_drain_answers_what_was_sent_and_tells_every_socket_to_come_back() {
    let region = Region::start().await;
    let mut alice = region.client("alice", "webim_a").await;
    let mut waiting = Client::connect(region.address).await;
    alice.text(1, "bob", "before").await;
    let gateway = region.gateway.clone();
    let draining = tokio::spawn(async move { gateway.drain().await });
    assert!(matches!(alice.next().await, Down::Closed(1012)));
    assert!(matches!(waiting.next().await, Down::Closed(1012)));
    drop((alice, waiting));
    draining.await.unwrap();
    assert!(tokio::net::TcpStream::connect(region.address).await.is_err(), "nothing listens any more");
}

#[tokio::test]
async fn a_socket_outlives_its_router_and_gets_what_came_meanwhile() {
    let region = Region::start().await;
    let mut alice = region.client("alice", "webim_a").await;
    let mut bob = region.client("bob", "webim_b").await;
    region.router.refuse(true);
    region.router.lose_gateway().await;
    alice.text(1, "bob", "meanwhile").await;
    region.router.refuse(false);
    assert!(matches!(bob.next().await, Down::Notice(_)));
    assert_eq!(bob.pull_all("alice").await, ["meanwhile"]);
    alice.text(2, "bob", "after").await;
    assert_eq!(text_of(&bob.next_sync().await.metas[0]), "after", "messages are pushed again");
}

#[tokio::test]
async fn a_user_who_was_deactivated_while_there_was_no_router_does_not_stay() {
    let region = Region::start().await;
    let mut alice = region.client("alice", "webim_a").await;
    let mut bob = region.client("bob", "webim_b").await;
    region.router.refuse(true);
    region.router.lose_gateway().await;
    let change = UpdateUserRequest {
        app: region.app.clone(),
        user: "alice".into(),
        change: Some(Change::Activated(false)),
    };
    region.auth.update_user(change).await.unwrap();
    assert_eq!(kicked_by(&mut alice).await, Some(4));
    region.router.refuse(false);
    bob.round_trip().await;
}

#[tokio::test]
async fn a_token_that_is_revoked_closes_its_own_sockets_though_there_is_no_router() {
    let region = Region::start().await;
    let tokens = [region.token("alice").await, region.token("alice").await];
    let mut clients = Vec::new();
    for (token, device) in tokens.iter().zip(["webim_1", "webim_2"]) {
        let mut client = Client::connect(region.address).await;
        client.log_in("alice", device, token).await;
        clients.push(client);
    }
    region.router.refuse(true);
    region.router.lose_gateway().await;
    let [token, _] = tokens;
    let request = RevokeTokenRequest { app: region.app.clone(), token, ..RevokeTokenRequest::default() };
    region.auth.revoke_token(request).await.unwrap();
    assert_eq!(kicked_by(&mut clients[0]).await, Some(4));
    region.router.refuse(false);
    clients[1].round_trip().await;
}

#[tokio::test]
async fn a_password_that_is_changed_and_a_user_who_is_deleted_are_told_as_that() {
    let region = Region::start().await;
    let mut alice = region.client("alice", "webim_a").await;
    let mut bob = region.client("bob", "webim_b").await;
    let (app, user) = (region.app.clone(), "alice".to_owned());
    let change = Some(Change::Password("another".into()));
    region.auth.update_user(UpdateUserRequest { app: app.clone(), user, change }).await.unwrap();
    assert_eq!(kicked_by(&mut alice).await, Some(3));
    region.auth.delete_user(auth::UserRequest { app, user: "bob".into() }).await.unwrap();
    assert_eq!(kicked_by(&mut bob).await, Some(1));
}

/// The operation of the kick that comes next.
async fn kicked_by(client: &mut Client) -> Option<i32> {
    let kick = client.next_sync().await;
    StatisticsBody::decode(kick.metas[0].payload.clone().unwrap()).unwrap().operation
}

#[tokio::test]
async fn a_login_waits_for_a_router() {
    let region = Region::start().await;
    let token = region.token("alice").await;
    region.router.refuse(true);
    region.router.lose_gateway().await;
    let mut alice = Client::connect(region.address).await;
    let (_, ()) = tokio::join!(alice.log_in("alice", "webim_a", &token), async {
        tokio::task::yield_now().await;
        region.router.refuse(false);
    });
    let devices = UserRequest { app: region.app.clone(), user: "alice".into() };
    assert_eq!(region.router.devices(devices).await.unwrap().devices.len(), 1);
}

#[tokio::test]
async fn a_session_whose_client_went_while_there_was_no_router_is_not_opened_again() {
    let region = Region::start().await;
    let alice = region.client("alice", "webim_a").await;
    let mut bob = region.client("bob", "webim_b").await;
    region.router.refuse(true);
    region.router.lose_gateway().await;
    drop(alice);
    bob.round_trip().await;
    region.router.refuse(false);
    let devices = async |user: &str| {
        let request = UserRequest { app: region.app.clone(), user: user.into() };
        region.router.devices(request).await.unwrap().devices.len()
    };
    while devices("bob").await == 0 || devices("alice").await > 0 {
        tokio::task::yield_now().await;
    }
    bob.round_trip().await;
    assert_eq!((devices("alice").await, devices("bob").await), (0, 1));
}

#[tokio::test]
async fn sockets_are_closed_when_there_is_no_router_for_long_and_may_come_back() {
    let region = Region::with(|settings| settings.router_wait_ms = 1).await;
    let mut alice = region.client("alice", "webim_a").await;
    region.router.refuse(true);
    region.router.lose_gateway().await;
    assert!(matches!(alice.next().await, Down::Closed(1012)));
    region.router.refuse(false);
    while !region.router.is_attached() {
        tokio::task::yield_now().await;
    }
    let mut alice = region.client("alice", "webim_a").await;
    alice.text(1, "bob", "again").await;
}
