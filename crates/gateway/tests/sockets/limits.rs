use bulkhead_model::limits::FRAME_BYTES_MAX;
use bytes::Bytes;
use futures_util::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::client::{Client, Down};
use crate::region::Region;

#[tokio::test]
async fn hostile_frames_end_their_socket_and_disturb_nobody() {
    let region = Region::with(|settings| settings.frame_rate_per_s = 20).await;
    let mut bob = region.client("bob", "webim_b").await;
    for (message, code) in [
        (Message::Text("hello".into()), 1003),
        (Message::Binary(Bytes::from_static(b"\xff\xff\xff")), 1007),
        (Message::Binary(Bytes::from(vec![0x0b; 1000])), 1007),
        (Message::Binary(Bytes::from(vec![0; FRAME_BYTES_MAX + 1])), 1009),
    ] {
        let mut alice = region.client("alice", "webim_a").await;
        alice.send_raw(message).await;
        match alice.next().await {
            Down::Closed(closed) => assert_eq!(closed, code),
            other => panic!("{other:?}"),
        }
    }
    let mut flood = region.client("alice", "webim_a").await;
    for _ in 0..30 {
        flood.send_raw(Message::Ping(Bytes::new())).await;
    }
    assert!(matches!(flood.next().await, Down::Closed(1008)));
    bob.round_trip().await;
}

#[tokio::test]
async fn nothing_is_answered_before_a_login() {
    let region = Region::start().await;
    let mut client = Client::connect(region.address).await;
    client.send_text(1, "bob", "hello").await;
    assert!(matches!(client.next().await, Down::Closed(1008)));
}

#[tokio::test]
async fn a_socket_that_does_not_log_in_is_closed() {
    let region = Region::with(|settings| settings.login_limit_ms = 20).await;
    let mut client = Client::connect(region.address).await;
    region.clock.advance_ms(20);
    assert!(matches!(client.next().await, Down::Closed(1008)));
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_and_a_socket_counts_as_one() {
    let region = Region::with(|settings| settings.connections_max = 1).await;
    let mut first = Client::connect(region.address).await;
    let mut second = Box::pin(Client::connect(region.address));
    first.log_in("alice", "webim_a", &region.token("alice").await).await;
    first.round_trip().await;
    assert!(second.as_mut().now_or_never().is_none());
    first.socket.close(None).await.unwrap();
    drop(first);
    second.await.log_in("alice", "webim_a", &region.token("alice").await).await;
}

#[tokio::test]
async fn a_plain_request_to_the_socket_s_path_is_answered_with_json() {
    let region = Region::start().await;
    for (method, path) in [("GET", "/websocket"), ("POST", "/ws")] {
        let mut stream = TcpStream::connect(region.address).await.unwrap();
        let request =
            format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        assert!(answer.contains("application/json") && answer.ends_with('}'), "{answer}");
    }
}

#[tokio::test]
async fn the_rest_api_is_served_beside_the_sockets() {
    let region = Region::start().await;
    let mut stream = TcpStream::connect(region.address).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
