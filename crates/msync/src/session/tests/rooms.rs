use super::*;
use crate::codec::RoomFacts;
use crate::proto::MucBody;
use crate::proto::muc_body::Operation;

fn muc(client_id: u64, operation: Operation, room: &str) -> Meta {
    let body = MucBody {
        muc_id: Some(jid(room, "conference.easemob.com")),
        operation: Some(operation.into()),
        is_chatroom: Some(true),
        ext: Some("hello".into()),
        leave_other_rooms: Some(true),
        ..MucBody::default()
    };
    Meta {
        id: Some(client_id),
        to: Some(proto::Jid { domain: Some("easemob.com".into()), ..proto::Jid::default() }),
        ns: Some(NameSpace::Muc.into()),
        payload: Some(body.encode_to_vec().into()),
        ..Meta::default()
    }
}

fn room(name: &str) -> Queue {
    Queue::new(QueueKind::Room, name)
}

#[test]
fn a_room_is_joined_and_left_on_the_socket() {
    let mut play = Play::live(&[]);
    play.frame(send(muc(7, Operation::Join, "42")));
    let Some(Command::Join(join)) = play.out.pop() else { panic!("not joined") };
    assert_eq!((join.client_id, &join.room), (7, &room("42")));
    assert!(join.leave_other_rooms && join.ext == "hello");
    let facts = RoomFacts { created_ms: 5, member_count: 3 };
    play.session.joined(7, &room("42"), Ok(facts), NOW_MS, &mut play.out);
    assert_eq!(play.did(), [Did::Acked { client_id: 7, id: NOW_MS }]);
    play.frame(send(muc(8, Operation::Leave, "42")));
    assert_eq!(play.did(), [Did::Leave("42".into())]);
    play.session.left(8, &room("42"), Ok(()), NOW_MS, &mut play.out);
    assert_eq!(play.did(), [Did::Acked { client_id: 8, id: 0 }]);
}

#[test]
fn a_join_is_refused_in_the_words_that_the_sdk_knows() {
    let mut play = Play::live(&[]);
    for (kind, reason) in [
        (ErrorKind::ChannelNotFound, "grpID 42 does not exist!"),
        (ErrorKind::ChannelFull, "group member list is full!"),
        (ErrorKind::ChannelForbidden, "Sorry, You do not have permission"),
    ] {
        play.frame(send(muc(7, Operation::Join, "42")));
        play.did();
        play.session.joined(7, &room("42"), Err(kind.into()), NOW_MS, &mut play.out);
        assert_eq!(play.did(), [Did::Nacked { client_id: 7, code: 1, reason: reason.into() }]);
    }
    play.frame(send(muc(9, Operation::Destroy, "42")));
    assert!(matches!(play.did()[..], [Did::Nacked { client_id: 9, code: 1, .. }]));
    play.frame(send(Meta { payload: Some(Bytes::from_static(b"\x0b")), ..muc(9, Operation::Join, "42") }));
    assert_eq!(play.did(), [Did::Close(CloseReason::Malformed)]);
}

#[test]
fn a_room_s_messages_are_pushed_as_they_come_and_need_no_proof() {
    let mut play = Play::live(&[]);
    let live = |id, previous_id| Delivery { queue: room("42"), ..delivery("42", id, previous_id) };
    for id in 1..=200 {
        // Gaps are for history.
        play.session.deliver(&live(id * 10, id * 10 - 1), &mut play.out);
    }
    let did = play.did();
    assert_eq!(did.iter().filter(|did| matches!(did, Did::Pushed(_))).count(), 200);
    let Some(Did::Ping(ping)) = did.last() else { panic!("no ping") };
    play.session.pong(ping, NOW_MS, &mut play.out);
    assert_eq!(play.did(), []);
}

#[test]
fn in_a_group_a_device_is_left_out_by_its_user_and_name() {
    let mut play = Play::live(&[]);
    let group = Queue::new(QueueKind::Group, "7");
    let live = |id: u64, user: &str, device: &str, only: &[&str]| Delivery {
        queue: group.clone(),
        except_user: user.into(),
        except_device: device.into(),
        only_users: only.iter().map(|user| (*user).into()).collect(),
        ..delivery("7", id, id - 1)
    };
    for delivery in [
        live(1, "bob", "webim_1", &[]),
        live(2, "alice", "webim_1", &[]),
        live(3, "alice", "", &[]),
        live(4, "alice", "webim_2", &[]),
        live(5, "", "", &["bob"]),
        live(6, "", "", &["bob", "alice"]),
    ] {
        play.session.deliver(&delivery, &mut play.out);
    }
    let pushed: Vec<_> = play.did_but_ping();
    assert_eq!(pushed, [1, 4, 6].map(|id| Did::Pushed(vec![id])), "and no gap in between");
}

#[test]
fn a_directed_message_names_its_receivers() {
    let mut play = Play::live(&[]);
    let body = body(message_body::Type::Groupchat, "");
    let directed = Meta {
        to: Some(jid("7", "conference.easemob.com")),
        routetype: Some(proto::meta::RouteType::RouteDirect.into()),
        directed_users: vec!["Bob".into(), "carol".into()],
        ..chat(1, "", &body)
    };
    play.frame(send(directed));
    let Some(Command::Publish(publish)) = play.out.pop() else { panic!("not published") };
    assert_eq!(publish.only_users, ["bob", "carol"]);
}
