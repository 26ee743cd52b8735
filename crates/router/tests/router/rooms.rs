//! Rooms: joined and left, for those who are there.

use std::time::Duration;

use bulkhead_api::RouterApi;
use bulkhead_model::ErrorKind;
use bulkhead_proto::records::MessageKind;
use bulkhead_proto::router::{
    ChannelRequest, ChannelSettings, CloseSessionRequest, CreateChannelRequest, JoinRequest, Joined,
    MemberRequest, PublishRequest, Queue, QueueKind, gateway_event::Event,
};
use bulkhead_router::{RouterService, RouterSettings};

use crate::bed::{Bed, attach, text_body};
use crate::groups::settings;

pub(crate) fn room(id: &str) -> Option<Queue> {
    Some(Queue { name: id.into(), kind: QueueKind::Room.into() })
}

impl Bed {
    pub(crate) async fn make_room(&self) -> String {
        self.make_room_at(&self.router).await
    }

    /// A room whose slot this router owns.
    pub(crate) async fn make_room_at(&self, router: &RouterService) -> String {
        let request = CreateChannelRequest {
            app: self.app.clone(),
            kind: QueueKind::Room.into(),
            owner: "alice".into(),
            settings: Some(ChannelSettings { members_max: Some(10_000), ..settings("hall") }),
            ..CreateChannelRequest::default()
        };
        router.create_channel(request).await.unwrap().channel.unwrap().name
    }

    async fn join(&self, id: &str, user: &str) -> bulkhead_model::Result<Joined> {
        let request = JoinRequest {
            app: self.app.clone(),
            channel: room(id),
            user: user.into(),
            ..JoinRequest::default()
        };
        self.router.join(request).await
    }

    pub(crate) async fn room_members(&self, id: &str) -> u32 {
        let request = ChannelRequest { app: self.app.clone(), channel: room(id), actor: None };
        self.router.channel(request).await.unwrap().member_count
    }

    pub(crate) fn to_room(&self, from: &str, id: &str) -> PublishRequest {
        PublishRequest {
            to: room(id),
            kind: MessageKind::Chatroom.into(),
            payload: text_body("x"),
            from_device: "web_1".into(),
            ..self.text(from, "unused", "x")
        }
    }

    /// Waits until the room has so many members, which an event announces.
    async fn room_empties_to(&self, id: &str, members: u32) {
        while self.room_members(id).await != members {
            self.events.next().await;
        }
    }
}

#[tokio::test]
async fn those_who_joined_get_a_room_s_messages_and_nobody_has_them_waiting() {
    let bed = Bed::start().await;
    let id = bed.make_room().await;
    assert_eq!(bed.refusal(bed.to_room("bob", &id)).await, ErrorKind::NotMember);
    bed.open("bob", "web_1").await;
    let joined = bed.join(&id, "bob").await.unwrap();
    assert_eq!((joined.channel.unwrap().member_count, joined.already), (2, false));
    assert!(bed.join(&id, "bob").await.unwrap().already);
    let Event::Membership(membership) = bed.events.next().await else { panic!("no membership") };
    assert!(membership.joined && membership.channel == room(&id));
    let sent = bed.send(bed.to_room("alice", &id)).await.id;
    let got = bed.events.channel_delivery().await;
    assert_eq!((got.id, got.queue), (sent, room(&id)));
    assert!(bed.open("bob", "web_1").await.is_empty());
    assert_eq!(bed.offline_count("bob").await, 0);
    // A client asks for the history of either kind in the same way.
    let mut history = bed.history("bob", &id, 50);
    history.queue = Some(Queue { name: id.clone(), kind: QueueKind::Group.into() });
    assert_eq!(bed.router.history(history).await.unwrap().messages[0].id, sent);
    let recall = PublishRequest {
        to: Some(Queue { name: id.clone(), kind: QueueKind::Group.into() }),
        kind: MessageKind::Recall.into(),
        target_id: bed.send(bed.to_room("bob", &id)).await.id,
        ..bed.to_room("bob", &id)
    };
    bed.send(recall).await;
}

#[tokio::test]
async fn joins_of_one_batch_are_one_event_for_those_who_are_there() {
    let bed = Bed::start().await;
    let id = bed.make_room().await;
    bed.open("alice", "web_1").await;
    bed.events.next().await;
    bed.store.set(crate::switches::Writes::Hold);
    // Occupies the lane, so that the others gather behind it.
    let first = bed.publish(bed.to_room("alice", &id));
    let joins = async { tokio::join!(bed.join(&id, "bob"), bed.join(&id, "carol"), bed.join(&id, "dave")) };
    let release = async {
        tokio::task::yield_now().await;
        bed.store.set(crate::switches::Writes::Apply);
    };
    let (joined, ()) = tokio::join!(joins, release);
    assert!(joined.0.is_ok() && joined.1.is_ok() && joined.2.is_ok());
    first.wait().await.unwrap();
    assert!(!bed.events.channel_delivery().await.transient);
    assert!(bed.events.channel_delivery().await.transient);
    assert_eq!(bed.room_members(&id).await, 4);
}

#[tokio::test]
async fn a_member_leaves_with_the_last_session() {
    let bed = Bed::start().await;
    let id = bed.make_room().await;
    bed.open("alice", "web_1").await;
    bed.open("bob", "web_1").await;
    bed.open("bob", "ios_1").await;
    bed.join(&id, "bob").await.unwrap();
    bed.close("bob", "ios_1").await;
    assert_eq!(bed.room_members(&id).await, 2);
    bed.close("bob", "web_1").await;
    bed.room_empties_to(&id, 1).await;
    bed.close("alice", "web_1").await;
    assert_eq!(bed.room_members(&id).await, 1, "the owner stays");
}

#[tokio::test]
async fn one_whose_connection_broke_stays_for_a_while() {
    let grace = RouterSettings { room_grace_ms: 50, ..RouterSettings::default() };
    let bed = Bed::start_with(grace).await;
    let id = bed.make_room().await;
    bed.open("alice", "web_1").await;
    for user in ["bob", "carol"] {
        bed.open(user, "web_2").await;
        bed.join(&id, user).await.unwrap();
        let session = Some(bed.session(user, "web_2"));
        bed.router.close_session(CloseSessionRequest { session, lost: true }).await.unwrap();
    }
    bed.open("carol", "web_2").await;
    bed.room_empties_to(&id, 2).await;
    assert_eq!(bed.refusal(bed.to_room("bob", &id)).await, ErrorKind::NotMember);
    bed.send(bed.to_room("carol", &id)).await;
}

#[tokio::test]
async fn members_of_a_gateway_that_is_gone_leave_too_and_so_do_those_of_a_router_that_crashed() {
    let grace = RouterSettings { room_grace_ms: 1, ..RouterSettings::default() };
    let mut bed = Bed::start_with(grace).await;
    let id = bed.make_room().await;
    bed.open("alice", "web_1").await;
    let other = attach(&bed.router, "other").await;
    for user in ["bob", "carol"] {
        let login = bed.login(user, "web_2");
        let login = bulkhead_proto::router::OpenSessionRequest { gateway: "other".into(), ..login };
        bed.router.open_session(login).await.unwrap();
        bed.join(&id, user).await.unwrap();
    }
    bed.router.detach("other").await.unwrap();
    drop(other);
    bed.room_empties_to(&id, 1).await;

    bed.open("bob", "web_2").await;
    bed.join(&id, "bob").await.unwrap();
    bed.crash().await;
    bed.open("alice", "web_1").await;
    // The first that is said there brings the room to mind.
    bed.send(bed.to_room("alice", &id)).await;
    bed.room_empties_to(&id, 1).await;
}

#[tokio::test]
async fn whoever_joins_may_leave_all_other_rooms() {
    let bed = Bed::start().await;
    let (one, two) = (bed.make_room().await, bed.make_room().await);
    bed.open("bob", "web_1").await;
    bed.join(&one, "bob").await.unwrap();
    let request = JoinRequest {
        app: bed.app.clone(),
        channel: room(&two),
        user: "bob".into(),
        leave_other_rooms: true,
        ..JoinRequest::default()
    };
    bed.router.join(request).await.unwrap();
    assert_eq!((bed.room_members(&one).await, bed.room_members(&two).await), (1, 2));
    let member = MemberRequest {
        app: bed.app.clone(),
        channel: room(&two),
        user: "bob".into(),
        device: String::new(),
    };
    bed.router.leave(member.clone()).await.unwrap();
    assert_eq!(bed.router.leave(member).await.unwrap_err().kind(), ErrorKind::NotMember);
    assert_eq!(bed.join("999", "bob").await.unwrap_err().kind(), ErrorKind::ChannelNotFound);
}

#[tokio::test]
async fn a_thousand_joins_take_a_few_writes_and_all_are_members() {
    let bed = Bed::start().await;
    let id = bed.make_room().await;
    let users: Vec<String> = (0..1000).map(|number| format!("guest{number}")).collect();
    for user in &users {
        // Online, so that nobody asks whether they exist.
        bed.open(user, "web_1").await;
    }
    let started = std::time::Instant::now();
    let joined = futures_util::future::join_all(users.iter().map(|user| bed.join(&id, user))).await;
    let took = started.elapsed();
    assert!(joined.into_iter().all(|joined| joined.is_ok()));
    assert_eq!(bed.room_members(&id).await, 1001);
    assert!(took < Duration::from_secs(5), "{took:?}");
}
