//! One MSYNC socket, frame by frame: what a test needs to see that an SDK would hide.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use bulkhead_msync::proto::{
    CommSyncDl, CommSyncUl, CommUnreadDl, Jid, MSync, MessageBody, Meta, Provision, m_sync, message_body,
    meta,
};
use bulkhead_testkit::{App, TestRegion};
use futures_util::{SinkExt, StreamExt};
use prost::Message;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// How long a frame may take to come.
const FRAME_LIMIT: Duration = Duration::from_secs(20);

pub(crate) struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    app_key: String,
}

/// What the server acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ack {
    pub(crate) client_id: u64,
    pub(crate) server_id: u64,
}

impl Socket {
    /// Connects without logging in.
    pub(crate) async fn connect(region: &TestRegion, app: &App) -> Result<Self> {
        let (stream, _) = tokio_tungstenite::connect_async(region.ws_url()).await?;
        Ok(Self { stream, app_key: app.app_key.clone() })
    }

    /// Connects and logs in.
    pub(crate) async fn login(
        region: &TestRegion,
        app: &App,
        user: &str,
        token: &str,
        device: &str,
    ) -> Result<Self> {
        let mut socket = Self::connect(region, app).await?;
        let answer = socket.provision(user, token, device).await?;
        let status = answer.status.context("a provision answer has a status")?;
        if status.error_code() != bulkhead_msync::proto::status::ErrorCode::Ok {
            bail!("login refused: {:?}", status.reason);
        }
        Ok(socket)
    }

    /// Sends PROVISION and answers what came back.
    pub(crate) async fn provision(&mut self, user: &str, token: &str, device: &str) -> Result<Provision> {
        let provision = Provision {
            resource: Some(device.to_owned()),
            device_uuid: Some(device.to_owned()),
            version: Some("1.4.0".to_owned()),
            ..Provision::default()
        };
        let frame = MSync {
            guid: Some(self.jid(user, device)),
            auth: Some(format!("$t${token}")),
            command: Some(m_sync::Command::Provision as i32),
            payload: Some(provision.encode_to_vec().into()),
            ..MSync::default()
        };
        self.send(&frame).await?;
        let answer = self.next().await?;
        if answer.command() != m_sync::Command::Provision {
            bail!("expected a provision answer, got {:?}", answer.command());
        }
        Ok(Provision::decode(answer.payload())?)
    }

    /// Sends a text without waiting for its acknowledgement.
    pub(crate) async fn send_text(&mut self, to: &str, client_id: u64, text: &str) -> Result<()> {
        let content = message_body::Content {
            r#type: Some(message_body::content::Type::Text as i32),
            text: Some(text.to_owned()),
            ..message_body::Content::default()
        };
        let body = MessageBody {
            r#type: Some(message_body::Type::Chat as i32),
            to: Some(Jid { name: Some(to.to_owned()), ..Jid::default() }),
            contents: vec![content],
            ..MessageBody::default()
        };
        self.send_body(to, client_id, body.encode_to_vec()).await
    }

    /// Sends an encoded MessageBody.
    pub(crate) async fn send_body(&mut self, to: &str, client_id: u64, body: Vec<u8>) -> Result<()> {
        let meta = Meta {
            id: Some(client_id),
            to: Some(self.jid(to, "")),
            ns: Some(meta::NameSpace::Chat as i32),
            payload: Some(body.into()),
            ..Meta::default()
        };
        self.sync(CommSyncUl { meta: Some(meta), ..CommSyncUl::default() }).await
    }

    /// Sends an edit, a receipt or a recall of a message.
    pub(crate) async fn send_about(
        &mut self,
        to: &str,
        client_id: u64,
        kind: message_body::Type,
        target: u64,
    ) -> Result<()> {
        let body = MessageBody {
            r#type: Some(kind as i32),
            ack_message_id: Some(target),
            contents: vec![message_body::Content::default()],
            ..MessageBody::default()
        };
        self.send_body(to, client_id, body.encode_to_vec()).await
    }

    /// Waits for the acknowledgement of a client id; what else comes meanwhile is answered in `others`.
    pub(crate) async fn ack(&mut self, client_id: u64, others: &mut Vec<Meta>) -> Result<CommSyncDl> {
        loop {
            let down = self.next_sync().await?;
            if down.meta_id() == client_id {
                return Ok(down);
            }
            others.extend(down.metas);
        }
    }

    /// Asks for the queues that hold something, as (peer, count).
    pub(crate) async fn unread(&mut self) -> Result<Vec<(String, u32)>> {
        self.send(&MSync { command: Some(m_sync::Command::Unread as i32), ..MSync::default() }).await?;
        loop {
            let frame = self.next().await?;
            if frame.command() == m_sync::Command::Unread {
                let unread = CommUnreadDl::decode(frame.payload())?;
                return Ok(unread
                    .unread
                    .into_iter()
                    .map(|queue| (queue.queue.clone().unwrap_or_default().name().to_owned(), queue.n()))
                    .collect());
            }
        }
    }

    /// Pulls everything of a queue, acknowledging page by page.
    pub(crate) async fn pull_all(&mut self, peer: &str) -> Result<Vec<Meta>> {
        let mut metas = Vec::new();
        let mut key = None;
        loop {
            let queue = Some(self.jid(peer, ""));
            self.sync(CommSyncUl { queue, key, ..CommSyncUl::default() }).await?;
            let page = self.next_sync().await?;
            if page.metas.is_empty() && page.is_last() {
                return Ok(metas);
            }
            metas.extend(page.metas);
            key = Some(page.next_key.context("a page with messages has a key")?);
        }
    }

    /// Everything that waits for this device: unread, then every queue.
    pub(crate) async fn sync_all(&mut self) -> Result<Vec<Meta>> {
        let mut metas = Vec::new();
        for (peer, _) in self.unread().await? {
            metas.extend(self.pull_all(&peer).await?);
        }
        Ok(metas)
    }

    /// The next `count` pushed messages.
    pub(crate) async fn pushed(&mut self, count: usize) -> Result<Vec<Meta>> {
        let mut metas = Vec::new();
        while metas.len() < count {
            metas.extend(self.next_sync().await?.metas);
        }
        Ok(metas)
    }

    /// The next SYNC frame; notices are left out.
    pub(crate) async fn next_sync(&mut self) -> Result<CommSyncDl> {
        loop {
            let frame = self.next().await?;
            if frame.command() == m_sync::Command::Sync {
                return Ok(CommSyncDl::decode(frame.payload())?);
            }
        }
    }

    /// The next frame.
    pub(crate) async fn next(&mut self) -> Result<MSync> {
        self.next_or_end().await?.context("the server closed the socket")
    }

    /// The next frame, or `None` when the server closed the socket.
    pub(crate) async fn next_or_end(&mut self) -> Result<Option<MSync>> {
        loop {
            match tokio::time::timeout(FRAME_LIMIT, self.stream.next()).await.context("no frame in time")? {
                Some(Ok(Frame::Binary(bytes))) => return Ok(Some(MSync::decode(bytes)?)),
                None | Some(Ok(Frame::Close(_)) | Err(_)) => return Ok(None),
                Some(Ok(_)) => {}
            }
        }
    }

    /// Sends any WebSocket frame.
    pub(crate) async fn send_raw(&mut self, frame: Frame) -> Result<()> {
        Ok(self.stream.send(frame).await?)
    }

    async fn sync(&mut self, up: CommSyncUl) -> Result<()> {
        let frame = MSync {
            command: Some(m_sync::Command::Sync as i32),
            payload: Some(up.encode_to_vec().into()),
            ..MSync::default()
        };
        self.send(&frame).await
    }

    async fn send(&mut self, frame: &MSync) -> Result<()> {
        self.send_raw(Frame::Binary(frame.encode_to_vec().into())).await
    }

    fn jid(&self, name: &str, device: &str) -> Jid {
        Jid {
            app_key: Some(self.app_key.clone()),
            name: Some(name.to_owned()),
            domain: Some("easemob.com".to_owned()),
            client_resource: (!device.is_empty()).then(|| device.to_owned()),
        }
    }
}

/// The text of a delivered message.
pub(crate) fn text_of(meta: &Meta) -> String {
    MessageBody::decode(meta.payload())
        .ok()
        .and_then(|body| body.contents.into_iter().next())
        .map(|content| content.text().to_owned())
        .unwrap_or_default()
}
