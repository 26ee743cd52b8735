//! Groups and rooms as sockets see them.

use bulkhead_api::RouterApi;
use bulkhead_msync::proto::{Jid, Meta, MucBody, message_body, meta::NameSpace, muc_body};
use bulkhead_proto::router::{
    ChannelRequest, ChannelSettings, CreateChannelRequest, MembersRequest, Queue, QueueKind,
};
use prost::Message as _;

use crate::client::{Client, Down, jid, text_of};
use crate::region::Region;

impl Region {
    async fn make(&self, kind: QueueKind, members: &[&str]) -> String {
        let settings = ChannelSettings { name: Some("friends".into()), ..ChannelSettings::default() };
        let request = CreateChannelRequest {
            app: self.app.clone(),
            kind: kind.into(),
            owner: "alice".into(),
            settings: Some(settings),
            members: members.iter().map(|member| (*member).into()).collect(),
            ..CreateChannelRequest::default()
        };
        self.router.create_channel(request).await.unwrap().channel.unwrap().name
    }
}

fn conference(id: &str) -> Jid {
    Jid { name: Some(id.into()), domain: Some("conference.easemob.com".into()), ..Jid::default() }
}

impl Client {
    async fn send_to_group(&mut self, client_id: u64, id: &str, text: &str) {
        self.send_text_as(message_body::Type::Groupchat, client_id, conference(id), text).await;
    }

    async fn room_request(
        &mut self,
        client_id: u64,
        operation: muc_body::Operation,
        id: &str,
    ) -> Option<String> {
        let body = MucBody {
            muc_id: Some(conference(id)),
            operation: Some(operation.into()),
            is_chatroom: Some(true),
            ..MucBody::default()
        };
        self.send_meta(Meta {
            id: Some(client_id),
            to: Some(jid("")),
            ns: Some(NameSpace::Muc.into()),
            payload: Some(body.encode_to_vec().into()),
            ..Meta::default()
        })
        .await;
        loop {
            let sync = self.next_sync().await;
            if sync.meta_id == Some(client_id) {
                let status = sync.status.unwrap();
                return (status.error_code != Some(0)).then(|| status.reason().to_owned());
            }
        }
    }

    /// The next event of a group or room.
    async fn muc(&mut self) -> MucBody {
        loop {
            let sync = self.next_sync().await;
            if let Some(meta) = sync.metas.first().filter(|meta| meta.ns() == NameSpace::Muc) {
                return MucBody::decode(meta.payload.clone().unwrap()).unwrap();
            }
        }
    }

    /// The next text, events and acknowledgements passed over.
    async fn text_in(&mut self, id: &str) -> String {
        loop {
            let sync = self.next_sync().await;
            if let Some(meta) = sync.metas.first().filter(|meta| meta.ns() == NameSpace::Chat) {
                assert_eq!(sync.queue.unwrap(), conference(id));
                return text_of(meta);
            }
        }
    }
}

#[tokio::test]
async fn a_group_s_message_reaches_its_members_and_comes_later_to_those_who_were_away() {
    let region = Region::start().await;
    let id = region.make(QueueKind::Group, &["bob", "carol"]).await;
    // The same device name twice: only the sender's own is left out.
    let mut alice = region.client("alice", "webim_1").await;
    let mut alices = region.client("alice", "webim_2").await;
    let mut bob = region.client("bob", "webim_1").await;
    alice.send_to_group(7, &id, "hello").await;
    let ack = alice.next_sync().await;
    assert_eq!((ack.meta_id, ack.status.unwrap().error_code), (Some(7), Some(0)));
    assert_eq!(bob.text_in(&id).await, "hello");
    assert_eq!(alices.text_in(&id).await, "hello");

    let mut carol = region.client("carol", "webim_1").await;
    assert_eq!(carol.ask_unread().await, [(id.clone(), 1)]);
    let mut texts = Vec::new();
    let mut key = None;
    loop {
        carol.ask_page_of(conference(&id), key).await;
        let page = carol.next_sync().await;
        if page.is_last() {
            break;
        }
        key = page.next_key;
        texts.extend(page.metas.iter().map(text_of));
    }
    assert_eq!(texts, ["hello"]);
    bob.send_to_group(8, &id, "again").await;
    assert_eq!(carol.text_in(&id).await, "again", "and from then on live");
}

#[tokio::test]
async fn who_is_removed_hears_of_it_and_of_nothing_after_it() {
    let region = Region::start().await;
    let id = region.make(QueueKind::Group, &["bob", "carol"]).await;
    let mut bob = region.client("bob", "webim_1").await;
    let mut carol = region.client("carol", "webim_1").await;
    let channel = Some(Queue { name: id.clone(), kind: QueueKind::Group.into() });
    let users = vec!["bob".to_owned()];
    let request = MembersRequest { app: region.app.clone(), channel, actor: None, users };
    region.router.remove_members(request).await.unwrap();
    let removed = bob.muc().await;
    assert_eq!((removed.operation(), removed.to[0].name()), (muc_body::Operation::Kick, "bob"));
    assert_eq!(removed.muc_id.unwrap(), Jid { app_key: Some("demo#chat".into()), ..conference(&id) });
    let absent = carol.muc().await;
    assert_eq!(absent.operation(), muc_body::Operation::Absence);
    assert_eq!((absent.from.unwrap().name(), absent.muc_member_count), ("bob", Some(2)));
    carol.send_to_group(7, &id, "without bob").await;
    carol.next_sync().await;
    carol.text(8, "bob", "direct").await;
    let next = bob.next_sync().await;
    assert_eq!((next.queue.unwrap().name(), text_of(&next.metas[0])), ("carol", "direct".into()));
    bob.send_to_group(9, &id, "x").await;
    assert_eq!(bob.next_sync().await.status.unwrap().reason(), "not in group or chatroom");
}

#[tokio::test]
async fn a_room_is_joined_heard_and_left_on_the_socket() {
    let region = Region::start().await;
    let id = region.make(QueueKind::Room, &[]).await;
    let mut alice = region.client("alice", "webim_1").await;
    let mut bob = region.client("bob", "webim_1").await;
    use muc_body::Operation::{Join, Leave};
    assert_eq!(bob.room_request(1, Join, &id).await, None);
    let presence = alice.muc().await;
    assert_eq!(presence.operation(), muc_body::Operation::Presence);
    assert_eq!(
        (presence.from.unwrap().name(), presence.is_chatroom, presence.muc_member_count),
        ("bob", Some(true), Some(2))
    );
    alice.send_text_as(message_body::Type::Chatroom, 7, conference(&id), "welcome").await;
    assert_eq!(bob.text_in(&id).await, "welcome");
    assert_eq!(bob.room_request(2, Leave, &id).await, None);
    assert_eq!(alice.muc().await.operation(), muc_body::Operation::Absence);
    assert_eq!(bob.room_request(3, Leave, &id).await.unwrap(), "not in group or chatroom");
    assert_eq!(bob.room_request(4, Join, "999").await.unwrap(), "grpID 999 does not exist!");
}

#[tokio::test]
async fn a_client_that_goes_leaves_its_rooms_and_one_that_is_lost_keeps_them_for_a_while() {
    let region = Region::start().await;
    let id = region.make(QueueKind::Room, &[]).await;
    let mut alice = region.client("alice", "webim_1").await;
    let mut bob = region.client("bob", "webim_1").await;
    let mut carol = region.client("carol", "webim_1").await;
    for client in [&mut bob, &mut carol] {
        assert_eq!(client.room_request(1, muc_body::Operation::Join, &id).await, None);
        alice.muc().await;
    }
    // Carol's connection breaks; bob's ends in order.
    drop(carol);
    bob.socket.close(None).await.unwrap();
    while !matches!(bob.next().await, Down::Closed(_)) {}
    let absence = alice.muc().await;
    assert_eq!(absence.operation(), muc_body::Operation::Absence);
    assert_eq!(absence.from.unwrap().name(), "bob");
    let channel = Some(Queue { name: id, kind: QueueKind::Room.into() });
    let request = ChannelRequest { app: region.app.clone(), channel, actor: None };
    assert_eq!(region.router.channel(request).await.unwrap().member_count, 2);
}
