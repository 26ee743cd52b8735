//! The handle that a program holds; `driver` owns the socket, `session` knows the protocol.

mod driver;
mod frames_socket;
mod session;
mod socket;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bulkhead_model::{AppKey, Clock, Entropy};
use bulkhead_msync::proto::message_body::{EditScope, Type};
use bulkhead_msync::proto::{Jid, MessageBody};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::{ClientError, Event, RegionAddress, text_body};
use driver::Driver;
use session::Session;

/// How long a sent message may wait for its acknowledgement, as in the web SDK (msync.md §4).
const ACK_LIMIT: Duration = Duration::from_secs(15);

/// Messages that may wait for the driver.
const COMMANDS_MAX: usize = 64;

/// Events that may wait for the program; while so many do, the socket is not read.
const EVENTS_MAX: usize = 1024;

/// With what a user logs in. Holds a secret, so it has no `Debug`.
#[derive(Clone)]
pub enum Credential {
    /// An AccessToken2 with user privilege, or a token of the REST API.
    Token(String),
    /// Exchanged for a token over REST at every login.
    Password(String),
}

/// Who logs in. Holds a secret, so it has no `Debug`.
#[derive(Clone)]
pub struct Login {
    pub app: AppKey,
    pub user: String,
    pub credential: Credential,
    /// Names this device, for good: the server keeps what the device has taken under this name. Another device of the
    /// user needs another name. `None` makes one up, for a program that runs once.
    pub device: Option<String>,
}

/// How a connection behaves.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whether a dropped socket is opened again.
    pub reconnect: Option<Reconnect>,
    /// Whether the senders of direct messages are told that they arrived.
    pub delivery_receipts: bool,
}

/// The pace of opening a dropped socket again. The wait doubles with every attempt, from a random half of it upwards,
/// so that the clients of a restarted server do not all come at once.
#[derive(Clone, Debug)]
pub struct Reconnect {
    pub first_wait: Duration,
    pub wait_max: Duration,
    pub attempts_max: u32,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self { first_wait: Duration::from_secs(1), wait_max: Duration::from_secs(30), attempts_max: 20 }
    }
}

/// A logged-in session. Dropping it, and every clone, closes the socket.
#[derive(Clone)]
pub struct Connection {
    commands: mpsc::Sender<Command>,
    client_ids: Arc<AtomicU64>,
    user: Arc<str>,
}

/// A message with the client id under which it is sent, as often as it takes.
#[derive(Clone, Debug)]
pub struct Outgoing {
    client_id: u64,
    to: String,
    body: MessageBody,
}

/// What the server acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The message's id.
    pub id: u64,
    /// Unix milliseconds, the server's.
    pub timestamp_ms: u64,
}

/// What a handle asks of the driver.
struct Command {
    outgoing: Outgoing,
    reply: oneshot::Sender<Result<Sent, ClientError>>,
}

impl Connection {
    /// Connects and logs in. The events must be read: while [`Event`]s wait in great number, the socket is not read and
    /// no acknowledgement arrives.
    ///
    /// Errors: `Refused` by the server, `Rest` for a password that is wrong, `Connection` or `Timeout` without a server.
    pub async fn open(
        region: RegionAddress,
        login: Login,
        options: Options,
        clock: &dyn Clock,
        entropy: Arc<dyn Entropy>,
    ) -> Result<(Self, mpsc::Receiver<Event>), ClientError> {
        let device = login.device.clone().unwrap_or_else(|| format!("client_{:016x}", entropy.next_u64()));
        let user: Arc<str> = login.user.as_str().into();
        // Unique for a device across its runs, as long as it sends less than a message in a microsecond.
        let client_ids = Arc::new(AtomicU64::new(clock.now_ms() * 1000));
        let session =
            Session::new(login.app.clone(), &login.user, options.delivery_receipts, Arc::clone(&client_ids));
        let socket = socket::open(&region, &login, &device).await?;
        let (commands, command_receiver) = mpsc::channel(COMMANDS_MAX);
        let (events, event_receiver) = mpsc::channel(EVENTS_MAX);
        let driver = Driver {
            region,
            login,
            device,
            reconnect: options.reconnect,
            entropy,
            commands: command_receiver,
            events,
            session,
        };
        tokio::spawn(driver.run(socket));
        Ok((Self { commands, client_ids, user }, event_receiver))
    }

    /// Sends a text to a user and waits for the acknowledgement. Errors as [`Self::deliver`].
    pub async fn send_text(&self, to: &str, text: &str) -> Result<Sent, ClientError> {
        self.deliver(&self.prepare(to, text_body(&self.user, to, text))).await
    }

    /// Gives a message its client id.
    pub fn prepare(&self, to: &str, body: MessageBody) -> Outgoing {
        Outgoing { client_id: self.client_ids.fetch_add(1, Ordering::Relaxed), to: to.to_owned(), body }
    }

    /// Sends a prepared message and waits for the acknowledgement, over a reconnection if need be.
    ///
    /// Errors: `Refused` by the server; `Timeout` after 15 s, when the message may or may not have been taken: deliver the
    /// same `Outgoing` again, the server recognizes it; `Closed` when the connection has ended.
    pub async fn deliver(&self, outgoing: &Outgoing) -> Result<Sent, ClientError> {
        let (reply, answer) = oneshot::channel();
        let exchange = async {
            let command = Command { outgoing: outgoing.clone(), reply };
            self.commands.send(command).await.map_err(|_| ClientError::Closed)?;
            answer.await.map_err(|_| ClientError::Closed)?
        };
        timeout(ACK_LIMIT, exchange).await.unwrap_or(Err(ClientError::Timeout(ACK_LIMIT.as_secs())))
    }

    /// Tells the sender of a message that it has been received.
    pub async fn mark_delivered(&self, sender: &str, message_id: u64) -> Result<Sent, ClientError> {
        self.deliver(&self.prepare(sender, self.receipt(Type::DeliverAck, sender, Some(message_id)))).await
    }

    /// Tells the sender of a message that it has been read.
    pub async fn mark_read(&self, sender: &str, message_id: u64) -> Result<Sent, ClientError> {
        self.deliver(&self.prepare(sender, self.receipt(Type::ReadAck, sender, Some(message_id)))).await
    }

    /// Tells a user that the whole conversation with it has been read.
    pub async fn mark_conversation_read(&self, with: &str) -> Result<Sent, ClientError> {
        self.deliver(&self.prepare(with, self.receipt(Type::ChannelAck, with, None))).await
    }

    /// Takes an own message back, within the server's time for it.
    pub async fn recall(&self, to: &str, message_id: u64) -> Result<Sent, ClientError> {
        self.deliver(&self.prepare(to, self.receipt(Type::Recall, to, Some(message_id)))).await
    }

    /// Gives an own text message a new text.
    pub async fn edit_text(&self, to: &str, message_id: u64, text: &str) -> Result<Sent, ClientError> {
        let body = MessageBody {
            r#type: Some(Type::Edit.into()),
            edit_message_id: Some(message_id),
            edit_scope: Some(EditScope::Body.into()),
            ..text_body(&self.user, to, text)
        };
        self.deliver(&self.prepare(to, body)).await
    }

    fn receipt(&self, kind: Type, to: &str, message_id: Option<u64>) -> MessageBody {
        receipt(kind, &self.user, to, message_id)
    }
}

/// A body without contents that says something about a message.
fn receipt(kind: Type, from: &str, to: &str, message_id: Option<u64>) -> MessageBody {
    let jid = |name: &str| Some(Jid { name: Some(name.to_owned()), ..Jid::default() });
    MessageBody {
        r#type: Some(kind.into()),
        from: jid(from),
        to: jid(to),
        ack_message_id: message_id,
        ..MessageBody::default()
    }
}
