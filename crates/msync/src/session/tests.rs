//! The rules of a session, each played as a client and a router would.

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
        self.session.settle(&mut self.out);
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
        except_device: String::new(),
        only_device: String::new(),
    }
}

// ------------------------------------------------------------------------------------------------ login

#[test]
fn a_login_is_judged_and_answered_with_the_device_and_the_end_of_the_credential() {
    let mut play = Play::new();
    play.frame(login("$t$token"));
    assert!(!play.session.is_live());
    assert!(matches!(play.out.pop(), Some(Command::Login(request)) if request.token == "token"));
    play.session.logged_in(Ok(logged_in(&[], 5_000)), &mut play.out);
    assert_eq!(
        play.did(),
        [Did::Provisioned { device: "webim_1".into(), expires: r#"{"expires_in":5000}"#.into() }]
    );
    assert!(play.session.is_live());
}

#[test]
fn a_refused_login_is_told_why_and_closed() {
    let mut play = Play::new();
    play.frame(login("x"));
    play.session.logged_in(Err(ErrorKind::TokenExpired.into()), &mut play.out);
    assert_eq!(
        play.did(),
        [
            Did::Login,
            Did::Refused { code: 1, reason: "Sorry, token expired".into() },
            Did::Close(CloseReason::Refused)
        ]
    );
    assert!(play.session.is_closed() && !play.session.wants_frames());
}

#[test]
fn a_login_that_fails_for_now_is_closed_without_a_final_answer() {
    let mut play = Play::new();
    play.frame(login("x"));
    play.session.logged_in(Err(ErrorKind::Unavailable.into()), &mut play.out);
    assert_eq!(play.did(), [Did::Login, Did::Close(CloseReason::Unavailable)]);
}

#[test]
fn nothing_but_a_login_is_accepted_before_it() {
    for frame in [text(1), unread(), pull("bob", None)] {
        let mut play = Play::new();
        play.frame(frame.clone());
        assert_eq!(play.did(), [Did::Close(CloseReason::Policy)]);
        let mut play = Play::new();
        play.frame(login("x"));
        play.frame(frame);
        assert_eq!(play.did(), [Did::Login, Did::Close(CloseReason::Policy)]);
    }
}

#[test]
fn a_second_login_on_a_session_ends_it() {
    let mut play = Play::live(&[]);
    play.frame(login("x"));
    assert_eq!(play.did(), [Did::Close(CloseReason::Policy)]);
}

#[test]
fn a_socket_that_does_not_log_in_is_closed_in_time() {
    let mut play = Play::new();
    assert_eq!(play.session.deadline_ms(), NOW_MS + LIMITS.login_limit_ms);
    play.session.tick(NOW_MS + LIMITS.login_limit_ms - 1, &mut play.out);
    assert_eq!(play.did(), []);
    play.session.tick(NOW_MS + LIMITS.login_limit_ms, &mut play.out);
    assert_eq!(play.did(), [Did::Close(CloseReason::Idle)]);
}

#[test]
fn a_late_outcome_of_a_login_changes_nothing() {
    let mut play = Play::new();
    play.frame(login("x"));
    play.session.tick(NOW_MS + LIMITS.login_limit_ms, &mut play.out);
    play.session.logged_in(Ok(logged_in(&[], 0)), &mut play.out);
    assert_eq!(play.did(), [Did::Login, Did::Close(CloseReason::Idle)]);
}

// ------------------------------------------------------------------------------------------------ keep-alive, limits

#[test]
fn a_keep_alive_is_answered_even_when_the_router_is_not() {
    let mut play = Play::live(&[]);
    play.frame(unread());
    play.session.unread(Vec::new(), NOW_MS, &mut play.out);
    assert_eq!(play.did(), [Did::AskUnread, Did::Unread(vec![])]);
}

#[test]
fn a_silent_socket_is_closed_and_a_pong_counts_as_a_sign_of_life() {
    let mut play = Play::live(&[]);
    play.session.pong(b"any", NOW_MS + 100_000, &mut play.out);
    play.session.tick(NOW_MS + LIMITS.idle_limit_ms, &mut play.out);
    assert_eq!(play.did(), []);
    play.session.tick(NOW_MS + 100_000 + LIMITS.idle_limit_ms, &mut play.out);
    assert_eq!(play.did(), [Did::Close(CloseReason::Idle)]);
}

#[test]
fn frames_above_the_rate_end_the_session() {
    let mut play = Play::new();
    play.session = Session::new(SessionLimits { frame_rate_per_s: 10, ..LIMITS }, NOW_MS);
    play.frame(login("x"));
    play.session.logged_in(Ok(logged_in(&[], 0)), &mut play.out);
    (0..9).for_each(|_| play.frame(send(Meta { ns: Some(0), ..Meta::default() })));
    assert!(!play.session.is_closed());
    play.frame(unread());
    assert_eq!(play.did().pop(), Some(Did::Close(CloseReason::Policy)));
}

#[test]
fn a_frame_that_means_nothing_ends_the_session() {
    for frame in
        [Bytes::from_static(b"\xff\xff"), up(Word::Sync, vec![]), Bytes::new(), up(Word::Notice, vec![])]
    {
        let mut play = Play::live(&[]);
        play.frame(frame);
        assert_eq!(play.did(), [Did::Close(CloseReason::Malformed)]);
    }
    let mut play = Play::live(&[]);
    play.frame(send(Meta {
        payload: Some(Bytes::from_static(b"\x0b")),
        ..chat(1, "bob", &MessageBody::default())
    }));
    assert_eq!(play.did(), [Did::Close(CloseReason::Malformed)]);
}

#[test]
fn statistics_are_ignored_and_a_logout_closes() {
    let mut play = Play::live(&[]);
    play.frame(send(Meta { id: Some(1), ns: Some(NameSpace::Statistic.into()), ..Meta::default() }));
    assert_eq!(play.did(), []);
    play.frame(up(Word::Logout, vec![]));
    assert_eq!(play.did(), [Did::Close(CloseReason::LoggedOut)]);
}

#[test]
fn a_session_with_too_much_in_flight_wants_no_more_frames() {
    let mut play = Play::live(&[]);
    for client_id in 1..=u64::from(IN_FLIGHT_MAX) {
        assert!(play.session.wants_frames());
        play.frame(text(client_id));
    }
    assert!(!play.session.wants_frames());
    play.session.published(1, &direct("bob"), Ok(Ack::default()), NOW_MS, &mut play.out);
    assert!(play.session.wants_frames());
}

// ------------------------------------------------------------------------------------------------ sending

#[test]
fn a_text_is_published_with_its_bytes_untouched_and_acknowledged() {
    let mut play = Play::live(&[]);
    let entry = KeyValue {
        key: Some("k".into()),
        r#type: Some(7),
        value: Some(key_value::Value::StringValue("v".into())),
    };
    let body = body(message_body::Type::Chat, "hi");
    play.frame(send(Meta {
        ext: vec![entry.clone()],
        routetype: Some(proto::meta::RouteType::RouteOnline.into()),
        ..chat(77, "Bob", &body)
    }));
    let Some(Command::Publish(publish)) = play.out.pop() else { panic!("not published") };
    assert_eq!((publish.client_id, &publish.to), (77, &direct("bob")));
    assert_eq!(publish.payload, body.encode_to_vec());
    assert_eq!(Meta::decode(publish.extensions).unwrap().ext, [entry]);
    assert!(publish.online_only && publish.sync_devices);
    let ack = Ack { id: 900, timestamp_ms: NOW_MS, ..Ack::default() };
    play.session.published(77, &direct("bob"), Ok(ack), NOW_MS, &mut play.out);
    assert_eq!(play.did(), [Did::Acked { client_id: 77, id: 900 }]);
}

#[test]
fn receipts_recalls_and_edits_carry_the_message_they_mean() {
    let mut play = Play::live(&[]);
    use message_body::Type;
    for (kind, target, syncs) in [
        (Type::ReadAck, 5, true),
        (Type::DeliverAck, 5, false),
        (Type::Recall, 5, true),
        (Type::Edit, 6, true),
        (Type::ChannelAck, 0, true),
    ] {
        let body = MessageBody { ack_message_id: Some(5), edit_message_id: Some(6), ..body(kind, "") };
        play.frame(send(chat(1, "bob", &body)));
        let Some(Command::Publish(publish)) = play.out.pop() else { panic!("{kind:?} is not published") };
        assert_eq!((publish.kind, publish.target_id, publish.sync_devices), (kind, target, syncs));
    }
}

#[test]
fn groups_rooms_and_threads_are_told_apart() {
    let mut play = Play::live(&[]);
    let thread =
        MessageBody { meta: Some(r#"{"thread":{}}"#.into()), ..body(message_body::Type::Groupchat, "") };
    for (body, kind) in [
        (body(message_body::Type::Groupchat, ""), QueueKind::Group),
        (body(message_body::Type::Chatroom, ""), QueueKind::Room),
        (thread, QueueKind::Thread),
    ] {
        play.frame(send(Meta { to: Some(jid("7", "conference.easemob.com")), ..chat(1, "", &body) }));
        let Some(Command::Publish(publish)) = play.out.pop() else { panic!("{kind:?} is not published") };
        assert_eq!(publish.to, Queue::new(kind, "7"));
    }
}

#[test]
fn what_cannot_be_sent_is_refused_and_the_session_goes_on() {
    let mut play = Play::live(&[]);
    let body = body(message_body::Type::Chat, "");
    play.frame(send(chat(1, "no such/name", &body)));
    play.frame(send(Meta { to: None, ..chat(2, "", &body) }));
    play.frame(send(Meta { ns: Some(NameSpace::Roster.into()), ..chat(3, "bob", &body) }));
    play.frame(send(Meta { to: Some(jid("a b", "conference.easemob.com")), ..chat(4, "", &body) }));
    let nack = |client_id, reason: &str| Did::Nacked { client_id, code: 1, reason: reason.into() };
    assert_eq!(
        play.did(),
        [
            nack(1, "username doesn't exist!"),
            nack(2, "username doesn't exist!"),
            nack(3, "this call is not implemented"),
            nack(4, "group not found"),
        ]
    );
    assert!(play.session.wants_frames());
}

#[test]
fn a_message_at_the_limit_passes_and_one_byte_more_is_too_large() {
    let mut play = Play::live(&[]);
    let sized = |bytes: usize| body(message_body::Type::Chat, &"x".repeat(bytes));
    let overhead = sized(1000).contents[0].encoded_len() - 1000;
    play.frame(send(chat(1, "bob", &sized(MESSAGE_BYTES_MAX - overhead))));
    play.frame(send(chat(2, "bob", &sized(MESSAGE_BYTES_MAX - overhead + 1))));
    let refused = Did::Nacked { client_id: 2, code: 7, reason: "Sorry, data is too large".into() };
    assert_eq!(play.did(), [Did::Publish(1), refused]);
}

#[test]
fn a_refusal_of_the_router_reaches_the_sender() {
    let mut play = Play::live(&[]);
    play.frame(text(9));
    let error: Error = ErrorKind::Blocked.into();
    play.session.published(9, &direct("bob"), Err(error), NOW_MS, &mut play.out);
    assert_eq!(
        play.did(),
        [Did::Publish(9), Did::Nacked { client_id: 9, code: 1, reason: "blocked".into() }]
    );
}

// ------------------------------------------------------------------------------------------------ pushing

#[test]
fn messages_are_pushed_and_proven_by_the_pong() {
    let mut play = Play::live(&[]);
    play.deliver("bob", 10, 4);
    play.deliver("bob", 11, 10);
    play.deliver("carol", 20, 0);
    let ping = 1u32.to_be_bytes().to_vec();
    assert_eq!(
        play.did(),
        [Did::Pushed(vec![10]), Did::Pushed(vec![11]), Did::Pushed(vec![20]), Did::Ping(ping.clone())]
    );
    play.deliver("bob", 12, 11);
    assert_eq!(play.did(), [Did::Pushed(vec![12])]);
    play.session.pong(&ping, NOW_MS, &mut play.out);
    assert_eq!(
        play.did(),
        [
            Did::Confirm(vec![("bob".into(), 11), ("carol".into(), 20)]),
            Did::Ping(2u32.to_be_bytes().to_vec())
        ]
    );
}

#[test]
fn a_gap_turns_a_queue_behind_with_one_notice_until_it_is_pulled_to_its_end() {
    let mut play = Play::live(&[]);
    play.deliver("bob", 10, 9);
    play.deliver("bob", 13, 12);
    play.deliver("bob", 14, 13);
    assert_eq!(play.did_but_ping(), [Did::Pushed(vec![10]), Did::Noticed("bob".into())]);
    play.frame(pull("bob", None));
    play.page("bob", &[11, 12, 13, 14], 14, true);
    play.frame(pull("bob", Some(14)));
    play.page("bob", &[], 0, true);
    play.deliver("bob", 15, 14);
    assert_eq!(
        play.did_but_ping(),
        [
            Did::Pull("bob".into(), 0),
            Did::Paged { ids: vec![11, 12, 13, 14], next_key: 14 },
            Did::Pull("bob".into(), 14),
            Did::Finished,
            Did::Pushed(vec![15]),
        ]
    );
}

#[test]
fn a_queue_that_was_behind_at_login_is_pulled_and_not_pushed() {
    let mut play = Play::live(&["bob"]);
    play.deliver("bob", 10, 9);
    play.deliver("carol", 5, 4);
    assert_eq!(play.did_but_ping(), [Did::Pushed(vec![5])]);
    play.frame(unread());
    play.session.unread(vec![(direct("bob"), 3)], NOW_MS, &mut play.out);
    assert_eq!(play.did_but_ping(), [Did::AskUnread, Did::Unread(vec![("bob".into(), 3)])]);
}

#[test]
fn a_message_that_comes_while_the_last_page_is_read_is_not_forgotten() {
    let mut play = Play::live(&["bob"]);
    play.frame(pull("bob", None));
    // The router read the page before this one.
    play.deliver("bob", 12, 11);
    play.page("bob", &[], 0, true);
    assert_eq!(play.did(), [Did::Pull("bob".into(), 0), Did::Finished, Did::Noticed("bob".into())]);
    play.frame(pull("bob", None));
    play.page("bob", &[12], 12, true);
    play.frame(pull("bob", Some(12)));
    play.page("bob", &[], 0, true);
    play.deliver("bob", 13, 12);
    assert_eq!(play.did_but_ping().pop(), Some(Did::Pushed(vec![13])));
}

#[test]
fn a_message_that_is_in_a_page_already_is_not_pushed_after_it() {
    let mut play = Play::live(&["bob"]);
    play.frame(pull("bob", None));
    play.page("bob", &[11, 12], 12, true);
    play.frame(pull("bob", Some(12)));
    play.page("bob", &[], 0, true);
    play.did();
    play.deliver("bob", 12, 11);
    assert_eq!(play.did(), []);
}

#[test]
fn echoes_of_a_pull_are_not_answered_twice() {
    let mut play = Play::live(&["bob"]);
    play.frame(pull("bob", None));
    play.frame(pull("bob", None));
    play.page("bob", &[11], 11, false);
    play.frame(pull("bob", None));
    assert_eq!(play.did_but_ping(), [Did::Pull("bob".into(), 0), Did::Paged { ids: vec![11], next_key: 11 }]);
    play.frame(pull("bob", Some(11)));
    assert_eq!(play.did(), [Did::Pull("bob".into(), 11)]);
    // A client that has forgotten the page may ask again later.
    play.page("bob", &[12], 12, false);
    play.did();
    play.now_ms += 3_000;
    play.frame(pull("bob", None));
    assert_eq!(play.did(), [Did::Pull("bob".into(), 0)]);
}

#[test]
fn a_page_that_is_all_for_others_is_passed_over_without_the_client() {
    let mut play = Play::live(&["bob"]);
    play.frame(pull("bob", None));
    play.page("bob", &[], 30, false);
    play.page("bob", &[31], 31, true);
    assert_eq!(
        play.did_but_ping(),
        [Did::Pull("bob".into(), 0), Did::Pull("bob".into(), 30), Did::Paged { ids: vec![31], next_key: 31 }]
    );
}

#[test]
fn a_pull_that_fails_is_ended_and_the_queue_stays_behind() {
    let mut play = Play::live(&["bob"]);
    play.frame(pull("bob", None));
    play.session.page(&direct("bob"), Err(ErrorKind::Unavailable.into()), NOW_MS, &mut play.out);
    play.deliver("bob", 12, 11);
    assert_eq!(play.did(), [Did::Pull("bob".into(), 0), Did::Finished]);
    play.frame(pull("bob", None));
    assert_eq!(play.did(), [Did::Pull("bob".into(), 0)]);
}

#[test]
fn a_page_is_proven_by_its_key_or_else_by_the_pong() {
    for key_comes_first in [true, false] {
        let mut play = Play::live(&["bob"]);
        play.frame(pull("bob", None));
        play.page("bob", &[11], 11, true);
        let Some(Did::Ping(ping)) = play.did().pop() else { panic!("no ping") };
        if key_comes_first {
            play.frame(pull("bob", Some(11)));
        }
        play.did();
        play.session.pong(&ping, NOW_MS, &mut play.out);
        let expected = if key_comes_first { vec![] } else { vec![Did::Confirm(vec![("bob".into(), 11)])] };
        assert_eq!(play.did(), expected);
    }
}

#[test]
fn a_device_passes_over_what_it_sent_itself_and_what_is_for_another() {
    let mut play = Play::live(&[]);
    play.deliver("bob", 10, 9);
    let own = Delivery { except_device: "webim_1".into(), ..delivery("bob", 11, 10) };
    play.session.deliver(&own, &mut play.out);
    let others = Delivery { only_device: "webim_2".into(), ..delivery("bob", 12, 11) };
    play.session.deliver(&others, &mut play.out);
    let mine = Delivery { only_device: "webim_1".into(), ..delivery("bob", 13, 12) };
    play.session.deliver(&mine, &mut play.out);
    assert_eq!(play.did_but_ping(), [Did::Pushed(vec![10]), Did::Pushed(vec![13])]);
}

#[test]
fn the_device_s_own_message_takes_its_place_in_the_chain() {
    let mut play = Play::live(&[]);
    play.deliver("bob", 10, 9);
    let ack = |id, previous_id| Ok(Ack { id, previous_id, ..Ack::default() });
    play.session.published(1, &direct("bob"), ack(11, 10), NOW_MS, &mut play.out);
    play.deliver("bob", 12, 11);
    assert_eq!(play.did_but_ping().pop(), Some(Did::Pushed(vec![12])));
    // An acknowledgement that overtakes a message does not hide it.
    play.session.published(2, &direct("bob"), ack(14, 13), NOW_MS, &mut play.out);
    play.deliver("bob", 13, 12);
    assert_eq!(play.did_but_ping().pop(), Some(Did::Pushed(vec![13])));
}

#[test]
fn a_message_for_those_who_are_there_is_pushed_whatever_the_queue() {
    let mut play = Play::live(&["bob"]);
    let transient = |id| Delivery { transient: true, ..delivery("bob", id, 0) };
    play.session.deliver(&transient(99), &mut play.out);
    let own = Delivery { except_device: "webim_1".into(), ..transient(100) };
    play.session.deliver(&own, &mut play.out);
    let ping = 1u32.to_be_bytes().to_vec();
    assert_eq!(play.did(), [Did::Pushed(vec![99]), Did::Ping(ping.clone())]);
    play.session.pong(&ping, NOW_MS, &mut play.out);
    assert_eq!(play.did(), []);
}

#[test]
fn only_so_many_pushes_are_unproven_and_then_the_client_pulls() {
    let mut play = Play::live(&[]);
    for id in 1..=UNPROVEN_PUSHES_MAX as u64 + 5 {
        play.deliver("bob", id, id - 1);
    }
    let did = play.did_but_ping();
    assert_eq!(did.iter().filter(|did| matches!(did, Did::Pushed(_))).count(), UNPROVEN_PUSHES_MAX);
    assert_eq!(did.len(), UNPROVEN_PUSHES_MAX + 1);
    assert_eq!(did.last(), Some(&Did::Noticed("bob".into())));
}

#[test]
fn a_keep_alive_does_not_list_what_was_pushed_and_waits_for_its_proof() {
    let mut play = Play::live(&[]);
    play.deliver("bob", 10, 9);
    let Some(Did::Ping(ping)) = play.did().pop() else { panic!("no ping") };
    play.session.unread(vec![(direct("bob"), 1)], NOW_MS, &mut play.out);
    assert_eq!(play.did(), [Did::Unread(vec![])]);
    play.session.pong(&ping, NOW_MS, &mut play.out);
    play.did();
    // Proven and still lacking: it was lost on the way, so the client pulls it.
    play.session.unread(vec![(direct("bob"), 1)], NOW_MS, &mut play.out);
    play.deliver("bob", 12, 11);
    assert_eq!(play.did(), [Did::Unread(vec![("bob".into(), 1)])]);
}

#[test]
fn dropped_deliveries_are_recounted_and_nothing_is_pushed_meanwhile() {
    let mut play = Play::live(&[]);
    play.deliver("bob", 10, 9);
    play.did();
    play.session.overflowed(&mut play.out);
    play.session.overflowed(&mut play.out);
    play.deliver("bob", 12, 11);
    assert_eq!(play.did(), [Did::Recount, Did::Noticed("bob".into())]);
    play.session.recounted(Some(vec![direct("bob"), direct("carol")]), &mut play.out);
    assert_eq!(play.did(), [Did::Noticed("carol".into())]);
    play.deliver("dave", 7, 6);
    assert_eq!(play.did_but_ping(), [Did::Pushed(vec![7])]);
    play.session.overflowed(&mut play.out);
    play.session.recounted(None, &mut play.out);
    assert_eq!(play.did(), [Did::Recount, Did::Close(CloseReason::Unavailable)]);
}

#[test]
fn more_queues_than_are_remembered_are_noticed_instead_of_pushed() {
    let names: Vec<String> = (0..queues::QUEUES_MAX + 10).map(|n| format!("u{n:05}")).collect();
    let mut play = Play::live(&names.iter().map(String::as_str).collect::<Vec<_>>());
    play.deliver("zoe", 5, 4);
    assert_eq!(play.did(), [Did::Noticed("zoe".into())]);
    play.frame(pull("zoe", None));
    play.page("zoe", &[5], 5, true);
    play.frame(pull("zoe", Some(5)));
    play.page("zoe", &[], 0, true);
    assert_eq!(
        play.did_but_ping(),
        [
            Did::Pull("zoe".into(), 0),
            Did::Paged { ids: vec![5], next_key: 5 },
            Did::Pull("zoe".into(), 5),
            Did::Finished
        ]
    );
    play.deliver("zoe", 6, 5);
    assert_eq!(play.did(), [Did::Noticed("zoe".into())]);
}

// ------------------------------------------------------------------------------------------------ ends

#[test]
fn a_kick_tells_the_client_why_and_closes() {
    for operation in 1..=4 {
        let mut play = Play::live(&[]);
        play.session.kick(operation.try_into().unwrap(), "words", NOW_MS, &mut play.out);
        let told = Did::KickedOut { operation, reason: "words".into() };
        assert_eq!(play.did(), [told, Did::Close(CloseReason::Kicked)]);
    }
    let mut play = Play::live(&[]);
    play.session.kick(Operation::Information, "", NOW_MS, &mut play.out);
    assert_eq!(play.did(), [Did::Close(CloseReason::Kicked)]);
}

#[test]
fn a_drained_session_answers_what_it_took_and_closes() {
    let mut play = Play::live(&[]);
    play.frame(text(1));
    play.session.drain(&mut play.out);
    assert!(!play.session.wants_frames());
    assert_eq!(play.did(), [Did::Publish(1)]);
    let ack = Ack { id: 5, ..Ack::default() };
    play.session.published(1, &direct("bob"), Ok(ack), NOW_MS, &mut play.out);
    assert_eq!(play.did(), [Did::Acked { client_id: 1, id: 5 }, Did::Close(CloseReason::Restart)]);
    for mut play in [Play::live(&[]), Play::new()] {
        play.session.drain(&mut play.out);
        assert_eq!(play.did(), [Did::Close(CloseReason::Restart)]);
    }
}

#[test]
fn an_idle_session_is_small() {
    assert!(size_of::<Session>() <= 80, "{}", size_of::<Session>());
    assert!(size_of::<Live>() <= 192, "{}", size_of::<Live>());
}

#[derive(Clone, Debug)]
enum Step {
    Publish,
    Pull { keyed: bool },
    Page { late: bool },
    Pong,
    Unread,
    Overflow,
}

proptest! {
    #[test]
    fn no_bytes_make_a_session_panic(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..20)) {
        let mut play = Play::live(&["bob"]);
        for frame in frames {
            play.frame(frame.into());
        }
    }

    /// Whatever the order of messages, pulls, pongs and losses: a client that pulls when it is told to has every message of
    /// the log in the end, and sees ids rise strictly apart from what it has seen before.
    #[test]
    fn nothing_is_lost_whatever_happens_on_the_way(steps in prop::collection::vec(
        prop_oneof![
            4 => Just(Step::Publish),
            2 => any::<bool>().prop_map(|keyed| Step::Pull { keyed }),
            3 => any::<bool>().prop_map(|late| Step::Page { late }),
            2 => Just(Step::Pong),
            1 => Just(Step::Unread),
            1 => Just(Step::Overflow),
        ],
        1..120,
    )) {
        World::new().play(steps)?;
    }
}

/// A log, the router's cursor for the device, and a client that does what the web SDK does.
struct World {
    play: Play,
    log: Vec<u64>,
    cursor: u64,
    /// A page that the router has read and that is on its way.
    reading: Option<(Vec<u64>, u64, bool)>,
    unread: bool,
    recount: bool,
    confirm: Option<u64>,
    ping: Option<Vec<u8>>,
    got: Vec<u64>,
    wants_pull: Option<u64>,
}

impl World {
    fn new() -> Self {
        Self {
            play: Play::live(&[]),
            log: Vec::new(),
            cursor: 0,
            reading: None,
            unread: false,
            recount: false,
            confirm: None,
            ping: None,
            got: Vec::new(),
            wants_pull: None,
        }
    }

    fn play(mut self, steps: Vec<Step>) -> Result<(), TestCaseError> {
        for step in steps {
            self.step(step);
            self.absorb();
        }
        // Let everything that is under way arrive; then a keep-alive finds what is left.
        for _ in 0..6 {
            for _ in 0..20 {
                for step in [Step::Pong, Step::Page { late: false }, Step::Pull { keyed: true }] {
                    self.step(step);
                    self.absorb();
                }
            }
            self.play.now_ms += 10_000;
            self.play.frame(unread());
            self.absorb();
            self.step(Step::Unread);
            self.absorb();
        }
        prop_assert!(!self.play.session.is_closed());
        let mut seen = self.got.clone();
        seen.sort_unstable();
        seen.dedup();
        prop_assert_eq!(&seen, &self.log);
        // What the client shows, having dropped what it saw before, is in the order of the log.
        let mut shown: Vec<u64> = Vec::new();
        self.got.iter().for_each(|id| {
            if !shown.contains(id) {
                shown.push(*id)
            }
        });
        prop_assert_eq!(&shown, &self.log);
        prop_assert_eq!(self.cursor, self.log.last().copied().unwrap_or(0));
        Ok(())
    }

    fn step(&mut self, step: Step) {
        let play = &mut self.play;
        match step {
            Step::Publish => {
                let previous = self.log.last().copied().unwrap_or(0);
                self.log.push(previous + 10);
                play.deliver("bob", previous + 10, previous);
            }
            Step::Pull { keyed } => {
                if let Some(key) = self.wants_pull {
                    if keyed {
                        self.wants_pull = None;
                        play.frame(pull("bob", (key != 0).then_some(key)));
                    } else {
                        play.frame(pull("bob", None));
                    }
                }
            }
            Step::Page { late } => {
                if let Some((ids, next_key, is_last)) = self.reading.take() {
                    if late {
                        // A message comes between the reading of the page and its arrival.
                        let previous = self.log.last().copied().unwrap_or(0);
                        self.log.push(previous + 10);
                        play.deliver("bob", previous + 10, previous);
                    }
                    play.page("bob", &ids, next_key, is_last);
                }
            }
            Step::Pong => {
                if let Some(ping) = self.ping.take() {
                    play.session.pong(&ping, play.now_ms, &mut play.out);
                }
                if let Some(id) = self.confirm.take() {
                    self.cursor = self.cursor.max(id);
                    play.session.confirmed(&mut play.out);
                }
            }
            Step::Unread => {
                let lacks = self.log.last().is_some_and(|last| *last > self.cursor);
                if std::mem::take(&mut self.unread) {
                    let queues = if lacks { vec![(direct("bob"), 1)] } else { vec![] };
                    play.session.unread(queues, play.now_ms, &mut play.out);
                }
                if std::mem::take(&mut self.recount) {
                    let queues = if lacks { vec![direct("bob")] } else { vec![] };
                    play.session.recounted(Some(queues), &mut play.out);
                }
            }
            Step::Overflow => {
                // One message is dropped on the way.
                let previous = self.log.last().copied().unwrap_or(0);
                self.log.push(previous + 10);
                play.session.overflowed(&mut play.out);
            }
        }
        play.now_ms += 50;
    }

    /// Does as client and router what the session asks for.
    fn absorb(&mut self) {
        for did in self.play.did() {
            match did {
                Did::Pushed(ids) => self.got.extend(ids),
                Did::Paged { ids, next_key } => {
                    self.got.extend(ids);
                    self.wants_pull = Some(next_key);
                }
                Did::Noticed(_) => self.wants_pull = self.wants_pull.or(Some(0)),
                Did::Unread(queues) if !queues.is_empty() => self.wants_pull = self.wants_pull.or(Some(0)),
                Did::Ping(ping) => self.ping = Some(ping),
                Did::Confirm(positions) => self.confirm = Some(positions[0].1),
                Did::AskUnread => self.unread = true,
                Did::Recount => self.recount = true,
                Did::Pull(_, key) => {
                    self.cursor = self.cursor.max(key);
                    let rest: Vec<u64> = self.log.iter().copied().filter(|id| *id > self.cursor).collect();
                    let page: Vec<u64> = rest.iter().copied().take(3).collect();
                    let next_key = page.last().copied().unwrap_or(0);
                    self.reading = Some((page.clone(), next_key, page.len() == rest.len()));
                }
                _ => {}
            }
        }
    }
}
