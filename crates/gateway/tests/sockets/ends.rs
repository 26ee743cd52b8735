use std::time::Duration;

use bulkhead_api::RouterApi;
use bulkhead_msync::proto::StatisticsBody;
use bulkhead_proto::router::{DisconnectRequest, KickReason};
use prost::Message as _;

use crate::client::{Client, Down};
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
async fn sockets_are_closed_when_the_router_has_lost_them_and_may_come_back() {
    let region = Region::start().await;
    let mut alice = region.client("alice", "webim_a").await;
    region.router.lose_gateway().await;
    assert!(matches!(alice.next().await, Down::Closed(1012)));
    while !region.router.is_attached() {
        tokio::task::yield_now().await;
    }
    let mut alice = region.client("alice", "webim_a").await;
    alice.text(1, "bob", "again").await;
}
