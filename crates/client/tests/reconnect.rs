//! A connection whose server goes away, against a server that does exactly what the test says.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

use std::sync::Arc;
use std::time::Duration;

use bulkhead_client::{
    ClientError, Connection, Credential, Event, Login, Options, Reconnect, RegionAddress, Sent, Trust,
};
use bulkhead_model::{ManualClock, SeededEntropy};
use bulkhead_msync::codec::{self, UpFrame, UpMessage};
use bulkhead_msync::proto::statistics_body::Operation;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::{WebSocketStream, accept_async};

/// Far more than anything here takes.
const LIMIT: Duration = Duration::from_secs(20);

struct Server(TcpListener);

struct Peer(WebSocketStream<TcpStream>);

impl Server {
    async fn start() -> (Self, RegionAddress) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        (Self(listener), RegionAddress::new(&url, &Trust::System).unwrap())
    }

    /// The next socket, and the answer to its login.
    async fn accept(&self, answer: Bytes) -> Peer {
        let (stream, _) = timeout(LIMIT, self.0.accept()).await.unwrap().unwrap();
        let mut peer = Peer(accept_async(stream).await.unwrap());
        let UpFrame::Login(login) = peer.next().await else { panic!("no login") };
        assert_eq!((login.username.as_str(), login.token.as_str()), ("alice", "secret"));
        assert_eq!(login.device, "phone");
        peer.send(answer).await;
        peer
    }
}

impl Peer {
    async fn next(&mut self) -> UpFrame {
        loop {
            match timeout(LIMIT, self.0.next()).await.unwrap().unwrap().unwrap() {
                Frame::Binary(frame) => return codec::decode(&frame).unwrap(),
                Frame::Close(_) => panic!("the client closed"),
                _ => {}
            }
        }
    }

    async fn next_message(&mut self) -> UpMessage {
        loop {
            if let UpFrame::Send(message) = self.next().await {
                return message;
            }
        }
    }

    async fn send(&mut self, frame: Bytes) {
        self.0.send(Frame::Binary(frame)).await.unwrap();
    }
}

async fn open(
    region: RegionAddress,
    reconnect: Option<Reconnect>,
) -> Result<(Connection, mpsc::Receiver<Event>), ClientError> {
    let login = Login {
        app: "demo#chat".parse().unwrap(),
        user: "alice".to_owned(),
        credential: Credential::Token("secret".to_owned()),
        device: Some("phone".to_owned()),
    };
    let options = Options { reconnect, delivery_receipts: false };
    let clock = ManualClock::at(1_800_000_000_000);
    Connection::open(region, login, options, &clock, Arc::new(SeededEntropy::new(1))).await
}

fn soon() -> Option<Reconnect> {
    let wait = Duration::from_millis(10);
    Some(Reconnect { first_wait: wait, wait_max: wait, attempts_max: 5 })
}

async fn next_event(events: &mut mpsc::Receiver<Event>) -> Event {
    timeout(LIMIT, events.recv()).await.unwrap().unwrap()
}

fn welcome() -> Bytes {
    codec::logged_in("phone", 0)
}

#[tokio::test]
async fn what_was_not_acknowledged_is_sent_again_on_the_next_socket_under_its_client_id() {
    let (server, region) = Server::start().await;
    let (client, first) = tokio::join!(open(region, soon()), server.accept(welcome()));
    let (connection, mut events) = client.unwrap();
    let sender = connection.clone();
    let sending = tokio::spawn(async move { sender.send_text("bob", "hi").await });
    let mut first = first;
    let lost = first.next_message().await;
    drop(first);
    assert_eq!(next_event(&mut events).await, Event::Reconnecting { attempt: 1 });
    let mut second = server.accept(welcome()).await;
    let resent = second.next_message().await;
    assert_eq!((resent.client_id, &resent.payload), (lost.client_id, &lost.payload));
    second.send(codec::send_ack(resent.client_id, 99, 7, &[])).await;
    assert_eq!(sending.await.unwrap().unwrap(), Sent { id: 99, timestamp_ms: 7 });
    assert_eq!(next_event(&mut events).await, Event::Reconnected);
}

#[tokio::test]
async fn a_kick_is_the_end_even_when_reconnecting_is_wanted() {
    let (server, region) = Server::start().await;
    let (client, mut peer) = tokio::join!(open(region, soon()), server.accept(welcome()));
    let (connection, mut events) = client.unwrap();
    peer.send(codec::kick("alice", Operation::UserRemoved, "", 1)).await;
    assert!(matches!(next_event(&mut events).await, Event::Kicked { .. }));
    assert!(matches!(next_event(&mut events).await, Event::Disconnected { .. }));
    assert!(matches!(connection.send_text("bob", "hi").await, Err(ClientError::Closed)));
}

#[tokio::test]
async fn without_reconnecting_a_lost_socket_fails_what_waits() {
    let (server, region) = Server::start().await;
    let (client, mut peer) = tokio::join!(open(region, None), server.accept(welcome()));
    let (connection, mut events) = client.unwrap();
    let sending = tokio::spawn(async move { connection.send_text("bob", "hi").await });
    peer.next_message().await;
    drop(peer);
    assert!(matches!(sending.await.unwrap(), Err(ClientError::Closed)));
    assert!(matches!(next_event(&mut events).await, Event::Disconnected { .. }));
}

#[tokio::test]
async fn a_refused_login_says_why() {
    let (server, region) = Server::start().await;
    let refusal = codec::login_refused("phone", 1, "Sorry, user not found");
    let (client, _peer) = tokio::join!(open(region, soon()), server.accept(refusal));
    let refused = client.err().unwrap();
    assert!(matches!(refused, ClientError::Refused { code: 1, reason } if reason == "Sorry, user not found"));
}

#[tokio::test]
async fn a_login_that_is_refused_later_ends_the_reconnecting() {
    let (server, region) = Server::start().await;
    let (client, peer) = tokio::join!(open(region, soon()), server.accept(welcome()));
    let (_connection, mut events) = client.unwrap();
    drop(peer);
    server.accept(codec::login_refused("phone", 1, "Sorry, token expired")).await;
    assert_eq!(next_event(&mut events).await, Event::Reconnecting { attempt: 1 });
    let Event::Disconnected { reason } = next_event(&mut events).await else { panic!("another event") };
    assert!(reason.contains("token expired"));
}

#[tokio::test]
async fn dropping_every_handle_closes_the_socket() {
    let (server, region) = Server::start().await;
    let (client, mut peer) = tokio::join!(open(region, soon()), server.accept(welcome()));
    let (connection, events) = client.unwrap();
    drop((connection, events));
    let closed = async {
        while let Some(Ok(frame)) = peer.0.next().await {
            if frame.is_close() {
                return;
            }
        }
    };
    timeout(LIMIT, closed).await.unwrap();
}
