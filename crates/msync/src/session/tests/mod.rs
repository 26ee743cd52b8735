//! The rules of a session, each played as a client and a router would.

mod ends;
mod keep_alive;
mod login;
mod pushing;
mod rooms;
mod sending;
mod world;

use bulkhead_model::limits::{MESSAGE_BYTES_MAX, UNPROVEN_PUSHES_MAX};
use bulkhead_model::{Error, ErrorKind};
use bytes::Bytes;
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::proto::m_sync::Command as Word;
use crate::proto::meta::NameSpace;
use crate::proto::{
    self, CommNotice, CommSyncDl, CommSyncUl, CommUnreadDl, KeyValue, MSync, MessageBody, Meta, Provision,
    key_value, message_body,
};
use crate::queue::{Queue, QueueKind};

const NOW_MS: u64 = 1_800_000_000_000;
const LIMITS: SessionLimits =
    SessionLimits { idle_limit_ms: 120_000, login_limit_ms: 10_000, frame_rate_per_s: 1000 };

/// A session with its clock and what came out of it.
struct Play {
    session: Session,
    now_ms: u64,
    out: Vec<Command>,
}

/// A command, readable in an assertion.
#[derive(Debug, PartialEq)]
enum Did {
    Provisioned { device: String, expires: String },
    Refused { code: i32, reason: String },
    Acked { client_id: u64, id: u64 },
    Nacked { client_id: u64, code: i32, reason: String },
    Pushed(Vec<u64>),
    Paged { ids: Vec<u64>, next_key: u64 },
    Finished,
    Noticed(String),
    Unread(Vec<(String, u32)>),
    KickedOut { operation: i32, reason: String },
    Ping(Vec<u8>),
    Login,
    Publish(u64),
    Join(String),
    Leave(String),
    AskUnread,
    Recount,
    Pull(String, u64),
    Confirm(Vec<(String, u64)>),
    Close(CloseReason),
}

impl Play {
    fn new() -> Self {
        Self { session: Session::new(LIMITS, NOW_MS), now_ms: NOW_MS, out: Vec::new() }
    }

    /// Logged in as alice on `webim_1`, behind in these queues.
    fn live(behind: &[&str]) -> Self {
        let mut play = Self::new();
        play.frame(login("$t$token"));
        play.session.logged_in(Ok(logged_in(behind, 0)), &mut play.out);
        play.did();
        play
    }

    fn frame(&mut self, frame: Bytes) {
        self.session.frame(&frame, self.now_ms, &mut self.out);
    }

    fn deliver(&mut self, from: &str, id: u64, previous_id: u64) {
        self.session.deliver(&delivery(from, id, previous_id), &mut self.out);
    }

    fn page(&mut self, from: &str, ids: &[u64], next_key: u64, is_last: bool) {
        let metas = ids.iter().map(|id| meta(*id)).collect();
        let page = Ok(Page { metas, next_key, is_last });
        self.session.page(&direct(from), page, self.now_ms, &mut self.out);
    }

    /// What was done since the last call, settled as a socket would.
    fn did(&mut self) -> Vec<Did> {
        self.session.settle(self.now_ms, &mut self.out);
        std::mem::take(&mut self.out).into_iter().map(read).collect()
    }

    /// The same without pings, for tests about other things.
    fn did_but_ping(&mut self) -> Vec<Did> {
        let mut did = self.did();
        did.retain(|did| !matches!(did, Did::Ping(_)));
        did
    }
}

fn read(command: Command) -> Did {
    let frame = match command {
        Command::Send(frame) => MSync::decode(frame).unwrap(),
        Command::Ping(payload) => return Did::Ping(payload.to_vec()),
        Command::Login(_) => return Did::Login,
        Command::Publish(publish) => return Did::Publish(publish.client_id),
        Command::Join(join) => return Did::Join(join.room.name.to_string()),
        Command::Leave { room, .. } => return Did::Leave(room.name.to_string()),
        Command::Unread => return Did::AskUnread,
        Command::Recount => return Did::Recount,
        Command::Pull { queue, key } => return Did::Pull(queue.name.to_string(), key),
        Command::Confirm(positions) => {
            return Did::Confirm(positions.into_iter().map(|p| (p.queue.name.to_string(), p.id)).collect());
        }
        Command::Close(reason) => return Did::Close(reason),
    };
    let payload = frame.payload.clone().unwrap();
    match frame.command() {
        Word::Provision => {
            let answer = Provision::decode(payload).unwrap();
            let status = answer.status.clone().unwrap();
            if status.error_code == Some(0) {
                Did::Provisioned { device: answer.resource().into(), expires: answer.auth_token().into() }
            } else {
                Did::Refused { code: status.error_code.unwrap(), reason: status.reason().into() }
            }
        }
        Word::Unread => {
            let answer = CommUnreadDl::decode(payload).unwrap();
            assert!(answer.timestamp.is_some());
            let queues =
                answer.unread.into_iter().map(|q| (q.queue.unwrap().name().to_owned(), q.n.unwrap()));
            Did::Unread(queues.collect())
        }
        Word::Notice => Did::Noticed(CommNotice::decode(payload).unwrap().queue.unwrap().name().into()),
        _ => read_sync(CommSyncDl::decode(payload).unwrap()),
    }
}

fn read_sync(sync: CommSyncDl) -> Did {
    let status = sync.status.clone().unwrap();
    if let Some(client_id) = sync.meta_id {
        return match status.error_code {
            Some(0) => Did::Acked { client_id, id: sync.server_id.unwrap() },
            Some(code) => Did::Nacked { client_id, code, reason: status.reason().into() },
            None => panic!("an acknowledgement says how it went"),
        };
    }
    let ids: Vec<u64> = sync.metas.iter().map(Meta::id).collect();
    match sync.metas.first() {
        Some(meta) if meta.ns() == NameSpace::Statistic => {
            let body = proto::StatisticsBody::decode(meta.payload.clone().unwrap()).unwrap();
            Did::KickedOut { operation: body.operation.unwrap(), reason: body.reason().into() }
        }
        Some(_) if sync.is_last() => Did::Pushed(ids),
        Some(_) => Did::Paged { ids, next_key: sync.next_key.unwrap() },
        None => Did::Finished,
    }
}

fn direct(name: &str) -> Queue {
    Queue::new(QueueKind::Direct, name)
}

fn logged_in(behind: &[&str], expires_ms: u64) -> LoggedIn {
    LoggedIn {
        user: "alice".into(),
        device: "webim_1".into(),
        expires_ms,
        behind: behind.iter().map(|name| direct(name)).collect(),
    }
}

fn up(command: Word, payload: Vec<u8>) -> Bytes {
    MSync { command: Some(command.into()), payload: Some(payload.into()), ..MSync::default() }
        .encode_to_vec()
        .into()
}

fn jid(name: &str, domain: &str) -> proto::Jid {
    proto::Jid { name: Some(name.into()), domain: Some(domain.into()), ..proto::Jid::default() }
}

fn login(auth: &str) -> Bytes {
    let provision = Provision { resource: Some("webim_1".into()), ..Provision::default() };
    MSync {
        guid: Some(proto::Jid { app_key: Some("demo#chat".into()), ..jid("alice", "easemob.com") }),
        auth: Some(auth.into()),
        command: Some(Word::Provision.into()),
        payload: Some(provision.encode_to_vec().into()),
        ..MSync::default()
    }
    .encode_to_vec()
    .into()
}

fn send(meta: Meta) -> Bytes {
    up(Word::Sync, CommSyncUl { meta: Some(meta), ..CommSyncUl::default() }.encode_to_vec())
}

fn pull(name: &str, key: Option<u64>) -> Bytes {
    let sync = CommSyncUl { key, queue: Some(jid(name, "easemob.com")), ..CommSyncUl::default() };
    up(Word::Sync, sync.encode_to_vec())
}

fn unread() -> Bytes {
    up(Word::Unread, Vec::new())
}

fn body(kind: message_body::Type, text: &str) -> MessageBody {
    MessageBody {
        r#type: Some(kind.into()),
        contents: vec![message_body::Content { text: Some(text.into()), ..Default::default() }],
        ..MessageBody::default()
    }
}

fn chat(client_id: u64, to: &str, body: &MessageBody) -> Meta {
    Meta {
        id: Some(client_id),
        to: Some(jid(to, "easemob.com")),
        ns: Some(NameSpace::Chat.into()),
        payload: Some(body.encode_to_vec().into()),
        ..Meta::default()
    }
}

fn text(client_id: u64) -> Bytes {
    send(chat(client_id, "bob", &body(message_body::Type::Chat, "hi")))
}

fn meta(id: u64) -> Bytes {
    let meta = Meta { id: Some(id), ns: Some(NameSpace::Chat.into()), ..Meta::default() };
    meta.encode_to_vec().into()
}

fn delivery(from: &str, id: u64, previous_id: u64) -> Delivery {
    let queue = direct(from);
    Delivery {
        frame: codec::delivery(&queue, &meta(id)),
        queue,
        id,
        previous_id,
        transient: false,
        except_user: String::new(),
        except_device: String::new(),
        only_device: String::new(),
        only_users: Vec::new(),
    }
}
