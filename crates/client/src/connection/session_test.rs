use bulkhead_msync::proto::{MetaQueue, Status};
use bulkhead_msync::{Queue, QueueKind, codec};

use super::*;
use crate::text_body;

fn session(delivery_receipts: bool) -> Session {
    let app = "demo#chat".parse().unwrap();
    let mut session = Session::new(app, "alice", delivery_receipts, Arc::new(AtomicU64::new(1)));
    session.begin(Instant::now());
    session.outbox.clear();
    session
}

fn outgoing(client_id: u64) -> Outgoing {
    Outgoing { client_id, to: "bob".into(), body: text_body("alice", "bob", "hi") }
}

fn bob() -> Queue {
    Queue::new(QueueKind::Direct, "bob")
}

fn meta(id: u64, text: &str) -> Vec<u8> {
    Meta {
        id: Some(id),
        ns: Some(NameSpace::Chat.into()),
        payload: Some(text_body("bob", "alice", text).encode_to_vec().into()),
        ..Meta::default()
    }
    .encode_to_vec()
}

fn texts(session: &mut Session) -> Vec<String> {
    std::mem::take(&mut session.events)
        .into_iter()
        .filter_map(|event| match event {
            Event::Message(message) => message.text().map(str::to_owned),
            _ => None,
        })
        .collect()
}

fn sent_pulls(session: &mut Session) -> Vec<Option<u64>> {
    use bulkhead_msync::proto::CommSyncUl;
    std::mem::take(&mut session.outbox)
        .into_iter()
        .filter_map(|frame| {
            let frame = MSync::decode(frame).unwrap();
            let sync = CommSyncUl::decode(frame.payload?).unwrap();
            sync.queue.map(|_| sync.key)
        })
        .collect()
}

#[test]
fn an_acknowledgement_reaches_its_sender_once() {
    let mut session = session(false);
    let (reply, mut answer) = oneshot::channel();
    session.send(&outgoing(7), reply, Instant::now());
    let ack = codec::send_ack(7, 99, 1000, &[]);
    session.receive(ack.clone()).unwrap();
    session.receive(ack).unwrap();
    assert_eq!(answer.try_recv().unwrap().unwrap(), Sent { id: 99, timestamp_ms: 1000 });
}

#[test]
fn a_refusal_reaches_its_sender_with_code_and_reason() {
    let mut session = session(false);
    let (reply, mut answer) = oneshot::channel();
    session.send(&outgoing(7), reply, Instant::now());
    session
        .receive(codec::send_refused(7, codec::RefusedSend { code: 7, reason: "user is mute" }, 1))
        .unwrap();
    let refused = answer.try_recv().unwrap().unwrap_err();
    assert!(matches!(refused, ClientError::Refused { code: 7, reason } if reason == "user is mute"));
}

#[test]
fn what_was_not_acknowledged_is_sent_again_under_its_client_id_and_in_order() {
    let mut session = session(false);
    let mut answers = Vec::new();
    for client_id in [1, 2, 3] {
        let (reply, answer) = oneshot::channel();
        session.send(&outgoing(client_id), reply, Instant::now());
        answers.push(answer);
    }
    let sent: Vec<_> = session.outbox.drain(..).collect();
    session.receive(codec::send_ack(1, 99, 1000, &[])).unwrap();
    // The sender of the third has given up.
    drop(answers.pop());
    session.begin(Instant::now());
    assert_eq!(session.outbox, [sent[1].clone(), frames::unread()]);
}

#[test]
fn a_queue_is_pulled_page_by_page_until_its_end() {
    let mut session = session(false);
    session.receive(codec::unread([(&bob(), 3)].into_iter(), 1)).unwrap();
    assert_eq!(sent_pulls(&mut session), [None]);
    let (one, two, three) = (meta(1, "one"), meta(2, "two"), meta(3, "three"));
    session.receive(codec::page(&bob(), [&one[..], &two[..]].into_iter(), 2, false, 1)).unwrap();
    assert_eq!(sent_pulls(&mut session), [Some(2)]);
    session.receive(codec::page(&bob(), [&three[..]].into_iter(), 3, false, 1)).unwrap();
    assert_eq!(sent_pulls(&mut session), [Some(3)]);
    assert_eq!(texts(&mut session), ["one", "two", "three"]);
    session.receive(codec::pull_finished(&bob(), 1)).unwrap();
    assert_eq!(session.events, [Event::Synced]);
}

#[test]
fn a_notice_during_a_pull_makes_one_more_pull() {
    let mut session = session(false);
    session.receive(codec::notice(&bob())).unwrap();
    session.receive(codec::notice(&bob())).unwrap();
    assert_eq!(sent_pulls(&mut session), [None]);
    session.receive(codec::pull_finished(&bob(), 1)).unwrap();
    assert_eq!(sent_pulls(&mut session), [None]);
    session.receive(codec::pull_finished(&bob(), 1)).unwrap();
    assert!(sent_pulls(&mut session).is_empty());
}

#[test]
fn a_message_that_comes_twice_is_told_once() {
    let mut session = session(false);
    session.receive(codec::delivery(&bob(), &meta(5, "hi"))).unwrap();
    session.receive(codec::delivery(&bob(), &meta(5, "hi"))).unwrap();
    assert_eq!(texts(&mut session), ["hi"]);
}

#[test]
fn the_memory_for_ids_is_bounded() {
    let mut session = session(false);
    for id in 1..=2 * RECENT_MAX as u64 {
        session.receive(codec::delivery(&bob(), &meta(id, ""))).unwrap();
    }
    assert_eq!((session.recent.len(), session.recent_order.len()), (RECENT_MAX, RECENT_MAX));
}

#[test]
fn a_receipt_goes_out_only_for_messages_of_others_and_only_when_wanted() {
    let mut silent = session(false);
    silent.receive(codec::delivery(&bob(), &meta(5, "hi"))).unwrap();
    assert!(silent.outbox.is_empty());
    let mut polite = session(true);
    polite.receive(codec::delivery(&bob(), &meta(5, "hi"))).unwrap();
    assert_eq!(polite.outbox.len(), 1);
    let own = Meta {
        id: Some(6),
        ns: Some(NameSpace::Chat.into()),
        payload: Some(text_body("alice", "bob", "mine").encode_to_vec().into()),
        ..Meta::default()
    };
    polite.receive(codec::delivery(&bob(), &own.encode_to_vec())).unwrap();
    assert_eq!(polite.outbox.len(), 1);
}

#[test]
fn a_kick_ends_the_conversation() {
    use bulkhead_msync::proto::statistics_body::Operation;
    let mut session = session(false);
    let flow = session.receive(codec::kick("alice", Operation::UserLoginAnotherDevice, "bye", 1)).unwrap();
    assert_eq!(flow, Flow::Kicked);
    let kicked = Event::Kicked { reason: crate::KickReason::LoginOnAnotherDevice, detail: "bye".into() };
    assert_eq!(session.events, [kicked]);
}

#[test]
fn one_message_more_than_may_wait_is_refused() {
    let mut session = session(false);
    let mut answers = Vec::new();
    for client_id in 0..=PENDING_MAX as u64 {
        let (reply, answer) = oneshot::channel();
        session.send(&outgoing(client_id), reply, Instant::now());
        answers.push(answer);
    }
    assert!(matches!(answers.pop().unwrap().try_recv(), Ok(Err(ClientError::Full))));
    assert!(answers.pop().unwrap().try_recv().is_err());
}

#[test]
fn a_broken_frame_is_malformed() {
    let mut session = session(false);
    assert!(session.receive(Bytes::from_static(&[0x0b])).is_err());
    let unread =
        CommUnreadDl { status: Some(Status::default()), unread: vec![MetaQueue::default()], timestamp: None };
    let frame = MSync {
        command: Some(Command::Unread.into()),
        payload: Some(unread.encode_to_vec().into()),
        ..MSync::default()
    };
    // A queue without a name asks for nothing.
    assert_eq!(session.receive(frame.encode_to_vec().into()).unwrap(), Flow::Continue);
}
