//! A client that speaks MSYNC by hand.

use std::net::SocketAddr;
use std::time::Duration;

use bulkhead_msync::proto::{
    self, CommNotice, CommSyncDl, CommSyncUl, CommUnreadDl, Jid, MSync, MessageBody, Meta, Provision,
    m_sync::Command, message_body, meta::NameSpace,
};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use prost::Message as _;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(8);

pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<TcpStream>,
}

/// What the server sent.
#[derive(Debug)]
pub(crate) enum Down {
    Provision(Provision),
    Sync(CommSyncDl),
    Unread(CommUnreadDl),
    Notice(CommNotice),
    /// The close code.
    Closed(u16),
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let url = format!("ws://{address}/websocket");
        let (socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
        Self { socket }
    }

    pub(crate) async fn send_raw(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    async fn send_frame(&mut self, frame: MSync) {
        self.send_raw(Message::Binary(frame.encode_to_vec().into())).await;
    }

    /// The next frame; pings are answered on the way.
    pub(crate) async fn next(&mut self) -> Down {
        let next = async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Binary(frame))) => return read(frame),
                    Some(Ok(Message::Close(frame))) => {
                        return Down::Closed(frame.map_or(0, |f| f.code.into()));
                    }
                    // Reading on sends the pong.
                    Some(Ok(_)) => self.socket.flush().await.unwrap(),
                    other => panic!("the connection ended without a close: {other:?}"),
                }
            }
        };
        tokio::time::timeout(PATIENCE, next).await.expect("nothing came")
    }

    pub(crate) async fn next_sync(&mut self) -> CommSyncDl {
        match self.next().await {
            Down::Sync(sync) => sync,
            other => panic!("not a sync: {other:?}"),
        }
    }

    pub(crate) async fn provision(&mut self, user: &str, device: &str, token: &str) -> Provision {
        self.provision_in("demo#chat", user, device, token).await
    }

    pub(crate) async fn provision_in(
        &mut self,
        app_key: &str,
        user: &str,
        device: &str,
        token: &str,
    ) -> Provision {
        let provision = Provision { resource: Some(device.into()), ..Provision::default() };
        let guid = Jid { app_key: Some(app_key.into()), ..jid(user) };
        let frame = MSync {
            guid: Some(guid),
            auth: Some(format!("$t${token}")),
            ..frame(Command::Provision, provision.encode_to_vec())
        };
        self.send_frame(frame).await;
        match self.next().await {
            Down::Provision(answer) => answer,
            other => panic!("not an answer to a login: {other:?}"),
        }
    }

    pub(crate) async fn log_in(&mut self, user: &str, device: &str, token: &str) {
        let answer = self.provision(user, device, token).await;
        assert_eq!(answer.status.unwrap().error_code, Some(0));
        assert_eq!(answer.resource.as_deref(), Some(device));
    }

    pub(crate) async fn send_text(&mut self, client_id: u64, to: &str, text: &str) {
        self.send_text_as(message_body::Type::Chat, client_id, jid(to), text).await;
    }

    pub(crate) async fn send_text_as(
        &mut self,
        kind: message_body::Type,
        client_id: u64,
        to: Jid,
        text: &str,
    ) {
        let body = MessageBody {
            r#type: Some(kind.into()),
            contents: vec![message_body::Content { text: Some(text.into()), ..Default::default() }],
            ..MessageBody::default()
        };
        self.send_meta(Meta {
            id: Some(client_id),
            to: Some(to),
            ns: Some(NameSpace::Chat.into()),
            payload: Some(body.encode_to_vec().into()),
            ..Meta::default()
        })
        .await;
    }

    pub(crate) async fn send_meta(&mut self, meta: Meta) {
        let sync = CommSyncUl { meta: Some(meta), ..CommSyncUl::default() };
        self.send_frame(frame(Command::Sync, sync.encode_to_vec())).await;
    }

    /// Sends a text and answers its server id.
    pub(crate) async fn text(&mut self, client_id: u64, to: &str, text: &str) -> u64 {
        self.send_text(client_id, to, text).await;
        let ack = self.next_sync().await;
        assert_eq!(ack.meta_id, Some(client_id));
        assert_eq!(ack.status.unwrap().error_code, Some(0));
        ack.server_id.unwrap()
    }

    pub(crate) async fn ask_unread(&mut self) -> Vec<(String, u32)> {
        self.send_frame(frame(Command::Unread, Vec::new())).await;
        match self.next().await {
            Down::Unread(unread) => unread
                .unread
                .into_iter()
                .map(|queue| (queue.queue.unwrap().name().to_owned(), queue.n.unwrap()))
                .collect(),
            other => panic!("not an answer: {other:?}"),
        }
    }

    pub(crate) async fn ask_page(&mut self, queue: &str, key: Option<u64>) {
        self.ask_page_of(jid(queue), key).await;
    }

    pub(crate) async fn ask_page_of(&mut self, queue: Jid, key: Option<u64>) {
        let sync = CommSyncUl { key, queue: Some(queue), ..CommSyncUl::default() };
        self.send_frame(frame(Command::Sync, sync.encode_to_vec())).await;
    }

    /// Pulls a queue to its end.
    pub(crate) async fn pull_all(&mut self, queue: &str) -> Vec<String> {
        let (mut texts, mut key) = (Vec::new(), None);
        loop {
            self.ask_page(queue, key).await;
            let page = self.next_sync().await;
            assert_eq!(page.queue.as_ref().unwrap().name(), queue);
            if page.is_last() {
                assert!(page.metas.is_empty());
                return texts;
            }
            key = page.next_key;
            texts.extend(page.metas.iter().map(text_of));
        }
    }

    /// Makes sure that the server has had the pong of everything until now.
    pub(crate) async fn round_trip(&mut self) {
        self.ask_unread().await;
    }
}

pub(crate) fn text_of(meta: &Meta) -> String {
    let body = MessageBody::decode(meta.payload.clone().unwrap()).unwrap();
    body.contents[0].text().to_owned()
}

pub(crate) fn jid(name: &str) -> Jid {
    proto::Jid { name: Some(name.into()), domain: Some("easemob.com".into()), ..Jid::default() }
}

fn frame(command: Command, payload: Vec<u8>) -> MSync {
    MSync { command: Some(command.into()), payload: Some(payload.into()), ..MSync::default() }
}

fn read(frame: Bytes) -> Down {
    let frame = MSync::decode(frame).unwrap();
    let payload = frame.payload.clone().unwrap();
    match frame.command() {
        Command::Provision => Down::Provision(Provision::decode(payload).unwrap()),
        Command::Unread => Down::Unread(CommUnreadDl::decode(payload).unwrap()),
        Command::Notice => Down::Notice(CommNotice::decode(payload).unwrap()),
        _ => Down::Sync(CommSyncDl::decode(payload).unwrap()),
    }
}
