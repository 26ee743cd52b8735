//! Groups: who is in, who gets what, and what of it waits for those who are away.

use bulkhead_api::RouterApi;
use bulkhead_model::ErrorKind;
use bulkhead_proto::records::MessageKind;
use bulkhead_proto::router::{
    Actor, ChangeOwnerRequest, ChannelInfo, ChannelRequest, ChannelSettings, ChannelsOfAppRequest,
    ChannelsOfUserRequest, ConfirmRequest, CreateChannelRequest, JoinRequest, ListMembersRequest,
    MemberRequest, MemberRole, MembersRequest, PublishRequest, PullRequest, Queue, QueueKind, QueuePosition,
    UpdateChannelRequest, gateway_event::Event,
};

use crate::bed::{Bed, text_body};

pub(crate) fn settings(name: &str) -> ChannelSettings {
    ChannelSettings { name: Some(name.into()), public: Some(true), ..ChannelSettings::default() }
}

pub(crate) fn actor(user: &str) -> Option<Actor> {
    Some(Actor { user: user.into(), device: String::new() })
}

fn group(id: &str) -> Option<Queue> {
    Some(Queue { name: id.into(), kind: QueueKind::Group.into() })
}

impl Bed {
    pub(crate) async fn make_group(&self, owner: &str, members: &[&str]) -> String {
        let info = self.try_make_group(owner, members, settings("friends")).await.unwrap();
        info.channel.unwrap().name
    }

    async fn try_make_group(
        &self,
        owner: &str,
        members: &[&str],
        settings: ChannelSettings,
    ) -> bulkhead_model::Result<ChannelInfo> {
        let request = CreateChannelRequest {
            app: self.app.clone(),
            kind: QueueKind::Group.into(),
            owner: owner.into(),
            settings: Some(settings),
            members: members.iter().map(|member| (*member).into()).collect(),
            ..CreateChannelRequest::default()
        };
        self.router.create_channel(request).await
    }

    fn to_group(&self, from: &str, id: &str, text: &str) -> PublishRequest {
        PublishRequest {
            to: group(id),
            kind: MessageKind::Groupchat.into(),
            payload: text_body(text),
            from_device: "web_1".into(),
            ..self.text(from, "unused", text)
        }
    }

    fn members_of(&self, id: &str, actor: Option<Actor>, users: &[&str]) -> MembersRequest {
        let users = users.iter().map(|user| (*user).into()).collect();
        MembersRequest { app: self.app.clone(), channel: group(id), actor, users }
    }

    fn the_group(&self, id: &str, actor: Option<Actor>) -> ChannelRequest {
        ChannelRequest { app: self.app.clone(), channel: group(id), actor }
    }

    fn member(&self, id: &str, user: &str) -> MemberRequest {
        MemberRequest { app: self.app.clone(), channel: group(id), user: user.into(), device: String::new() }
    }

    async fn role(&self, id: &str, user: &str) -> MemberRole {
        self.router.member(self.member(id, user)).await.unwrap().role()
    }

    async fn pull_group(&self, user: &str, device: &str, id: &str) -> Vec<u64> {
        let (mut ids, mut key) = (Vec::new(), 0);
        loop {
            let request = PullRequest { session: Some(self.session(user, device)), queue: group(id), key };
            let page = self.router.pull(request).await.unwrap();
            ids.extend(page.messages.iter().map(|message| message.id));
            if page.is_last {
                return ids;
            }
            key = page.next_key;
        }
    }

    async fn group_history(&self, user: &str, id: &str) -> bulkhead_model::Result<Vec<u64>> {
        let mut request = self.history(user, "unused", 50);
        request.queue = group(id);
        let page = self.router.history(request).await?;
        Ok(page.messages.iter().map(|message| message.id).collect())
    }
}

#[tokio::test]
async fn a_message_is_one_event_however_many_members_there_are_and_one_row_for_all() {
    let bed = Bed::start().await;
    let id = bed.make_group("alice", &["bob", "carol"]).await;
    for user in ["alice", "bob", "carol", "dave"] {
        bed.open(user, &format!("web_{user}")).await;
    }
    let first = bed.send(bed.to_group("alice", &id, "one")).await;
    let second = bed.send(bed.to_group("bob", &id, "two")).await;
    let got = bed.events.channel_message().await;
    assert_eq!((got.id, got.previous_id, got.except_user.as_str()), (first.id, 0, "alice"));
    assert_eq!((got.except_device.as_str(), got.queue), ("web_1", group(&id)));
    let got = bed.events.channel_message().await;
    assert_eq!((got.id, got.previous_id), (second.id, first.id));
    assert_eq!(second.previous_id, first.id, "the chain is the channel's own");
}

#[tokio::test]
async fn only_members_send_and_what_is_not_there_is_not_found() {
    let bed = Bed::start().await;
    let id = bed.make_group("alice", &["bob"]).await;
    assert_eq!(bed.refusal(bed.to_group("carol", &id, "x")).await, ErrorKind::NotMember);
    assert_eq!(bed.refusal(bed.to_group("carol", "999", "x")).await, ErrorKind::ChannelNotFound);
    let by_backend = PublishRequest { administrative: true, ..bed.to_group("carol", &id, "x") };
    bed.send(by_backend).await;
    bed.router.destroy_channel(bed.the_group(&id, actor("alice"))).await.unwrap();
    assert_eq!(bed.refusal(bed.to_group("alice", &id, "x")).await, ErrorKind::ChannelNotFound);
}

#[tokio::test]
async fn what_came_while_a_member_was_away_is_unread_pulled_and_proven() {
    let bed = Bed::start().await;
    let id = bed.make_group("alice", &["bob"]).await;
    bed.open("bob", "web_1").await;
    bed.close("bob", "web_1").await;
    let mut ids = Vec::new();
    for _ in 0..60 {
        bed.clock.advance_ms(1);
        ids.push(bed.send(bed.to_group("alice", &id, "x")).await.id);
    }
    assert_eq!(bed.offline_count("bob").await, 60);
    assert_eq!(bed.open("bob", "web_1").await, [(id.clone(), 60)]);
    let page = PullRequest { session: Some(bed.session("bob", "web_1")), queue: group(&id), key: 0 };
    let first = bed.router.pull(page.clone()).await.unwrap();
    assert_eq!((first.messages.len(), first.next_key), (50, ids[49]));
    let second = bed.router.pull(PullRequest { key: first.next_key, ..page }).await.unwrap();
    assert_eq!(second.messages.len(), 10);
    assert_eq!(bed.offline_count("bob").await, 10);
    let positions = vec![QueuePosition { queue: group(&id), id: ids[54] }];
    let session = Some(bed.session("bob", "web_1"));
    bed.router.confirm(ConfirmRequest { session, positions }).await.unwrap();
    assert_eq!(bed.offline_count("bob").await, 5);
    assert_eq!(bed.open("bob", "web_1").await, [(id.clone(), 5)]);
    // A device that is new gets what none has taken.
    assert_eq!(bed.open("bob", "ios_1").await, [(id.clone(), 5)]);
    assert_eq!(bed.pull_group("bob", "ios_1", &id).await, ids[55..]);
    assert_eq!(bed.offline_count("bob").await, 0);
    assert_eq!(bed.pull_group("alice", "web_1", &id).await, [0u64; 0], "not what the device sent");
    assert_eq!(bed.group_history("bob", &id).await.unwrap().len(), 50);
}

#[tokio::test]
async fn cursors_and_members_survive_a_restart_and_a_crash() {
    let mut bed = Bed::start().await;
    let id = bed.make_group("alice", &["bob"]).await;
    bed.open("bob", "web_1").await;
    let one = bed.send(bed.to_group("alice", &id, "one")).await.id;
    assert_eq!(bed.pull_group("bob", "web_1", &id).await, [one]);
    bed.restart().await;
    assert!(bed.open("bob", "web_1").await.is_empty());
    bed.clock.advance_ms(10_000);
    let two = bed.send(bed.to_group("alice", &id, "two")).await;
    assert_eq!(two.previous_id, one, "the head was kept");
    bed.crash().await;
    assert_eq!(bed.refusal(bed.to_group("carol", &id, "x")).await, ErrorKind::NotMember);
    assert_eq!(bed.open("bob", "web_1").await, [(id.clone(), 1)]);
    assert_eq!(bed.pull_group("bob", "web_1", &id).await, [two.id]);
}

#[tokio::test]
async fn a_member_sees_what_comes_after_the_joining_and_nothing_after_the_removal() {
    let bed = Bed::start().await;
    let id = bed.make_group("alice", &["bob"]).await;
    bed.open("carol", "web_1").await;
    bed.send(bed.to_group("alice", &id, "before")).await;
    bed.router.add_members(bed.members_of(&id, actor("alice"), &["carol"])).await.unwrap();
    assert!(bed.open("carol", "web_1").await.is_empty());
    let seen = bed.send(bed.to_group("alice", &id, "seen")).await.id;
    assert_eq!(bed.open("carol", "web_1").await, [(id.clone(), 1)]);
    assert_eq!(bed.open("carol", "ios_1").await, [(id.clone(), 1)]);
    assert_eq!(bed.pull_group("carol", "web_1", &id).await, [seen]);
    assert_eq!(bed.group_history("carol", &id).await.unwrap(), [seen]);
    bed.router.remove_members(bed.members_of(&id, actor("alice"), &["carol"])).await.unwrap();
    bed.send(bed.to_group("alice", &id, "after")).await;
    assert!(bed.open("carol", "web_1").await.is_empty());
    assert!(bed.pull_group("carol", "ios_1", &id).await.is_empty());
    assert_eq!(bed.group_history("carol", &id).await.unwrap_err().kind(), ErrorKind::NotMember);
    assert_eq!(bed.offline_count("carol").await, 0);
    bed.router.add_members(bed.members_of(&id, None, &["carol"])).await.unwrap();
    assert!(bed.open("carol", "web_1").await.is_empty(), "what came in between is not hers");
    assert!(bed.group_history("carol", &id).await.unwrap().is_empty());
}

#[tokio::test]
async fn changes_are_ordered_with_messages_and_gateways_hear_of_them_in_that_order() {
    let bed = Bed::start().await;
    let id = bed.make_group("alice", &[]).await;
    bed.open("bob", "web_1").await;
    bed.send(bed.to_group("alice", &id, "nobody is there")).await;
    let add = bed.router.add_members(bed.members_of(&id, None, &["bob"]));
    add.await.unwrap();
    bed.send(bed.to_group("alice", &id, "for bob")).await;
    bed.router.remove_members(bed.members_of(&id, None, &["bob"])).await.unwrap();
    bed.send(bed.to_group("alice", &id, "nobody again")).await;
    let Event::Membership(joined) = bed.events.next().await else { panic!("no membership") };
    assert!(joined.joined && joined.user == "bob" && joined.channel == group(&id));
    let told = bed.events.delivery().await;
    assert!(told.transient && told.user == "bob" && told.queue == group(&id));
    assert!(!bed.events.channel_delivery().await.transient);
    let Event::Membership(left) = bed.events.next().await else { panic!("no membership") };
    assert!(!left.joined && left.user == "bob");
    assert!(bed.events.delivery().await.transient, "bob hears of the removal");
}

#[tokio::test]
async fn a_session_hears_of_all_groups_of_its_user_when_it_opens() {
    let bed = Bed::start().await;
    let ids = [bed.make_group("alice", &["bob"]).await, bed.make_group("bob", &[]).await];
    bed.open("bob", "web_1").await;
    let Event::Memberships(all) = bed.events.next().await else { panic!("no memberships") };
    let mut names: Vec<_> = all.channels.into_iter().map(|channel| channel.name).collect();
    names.sort();
    assert_eq!((all.user.as_str(), names), ("bob", ids.to_vec()));
    bed.close("bob", "web_1").await;
    bed.send(bed.to_group("alice", &ids[0], "nobody is there")).await;
    bed.open("alice", "web_2").await;
    assert!(matches!(bed.events.next().await, Event::Memberships(_)), "and nothing was sent before");
}

#[tokio::test]
async fn rights_are_those_of_the_acting_user() {
    let bed = Bed::start().await;
    let id = bed.make_group("alice", &["bob"]).await;
    let kind = |outcome: bulkhead_model::Result<_>| outcome.map(|_: ChannelInfo| ()).unwrap_err().kind();
    let update = |by| UpdateChannelRequest {
        app: bed.app.clone(),
        channel: group(&id),
        actor: by,
        settings: Some(ChannelSettings { description: Some("new".into()), ..Default::default() }),
    };
    assert_eq!(kind(bed.router.update_channel(update(actor("bob"))).await), ErrorKind::ChannelForbidden);
    assert_eq!(kind(bed.router.update_channel(update(actor("carol"))).await), ErrorKind::NotMember);
    let add = bed.router.add_members(bed.members_of(&id, actor("bob"), &["carol"])).await;
    assert_eq!(add.unwrap_err().kind(), ErrorKind::ChannelForbidden);
    let remove = bed.router.remove_members(bed.members_of(&id, actor("bob"), &["alice"])).await;
    assert_eq!(remove.unwrap_err().kind(), ErrorKind::ChannelForbidden);
    let destroy = bed.router.destroy_channel(bed.the_group(&id, actor("bob"))).await;
    assert_eq!(destroy.unwrap_err().kind(), ErrorKind::ChannelForbidden);
    let leave = bed.router.leave(bed.member(&id, "alice")).await;
    assert_eq!(leave.unwrap_err().kind(), ErrorKind::ChannelForbidden, "the owner stays");

    let settings = bed.router.update_channel(update(actor("alice"))).await.unwrap().settings.unwrap();
    assert_eq!((settings.description(), settings.name()), ("new", "friends"));
    let change = |to: &str, by| ChangeOwnerRequest {
        app: bed.app.clone(),
        channel: group(&id),
        actor: by,
        owner: to.into(),
    };
    assert_eq!(kind(bed.router.change_owner(change("bob", actor("bob"))).await), ErrorKind::ChannelForbidden);
    assert_eq!(kind(bed.router.change_owner(change("dave", None)).await), ErrorKind::ChannelForbidden);
    assert_eq!(bed.router.change_owner(change("bob", actor("alice"))).await.unwrap().owner, "bob");
    assert_eq!(
        (bed.role(&id, "alice").await, bed.role(&id, "bob").await),
        (MemberRole::Member, MemberRole::Owner)
    );
    bed.router.leave(bed.member(&id, "alice")).await.unwrap();
    let again = bed.router.leave(bed.member(&id, "alice")).await;
    assert_eq!(again.unwrap_err().kind(), ErrorKind::NotMember);
}

#[tokio::test]
async fn adding_and_removing_say_what_became_of_each() {
    let bed = Bed::start().await;
    let id = bed.make_group("alice", &["bob"]).await;
    let added = bed.router.add_members(bed.members_of(&id, None, &["bob", "carol", "carol"])).await.unwrap();
    let changed: Vec<_> = added.changes.iter().map(|one| (one.user.as_str(), one.changed)).collect();
    assert_eq!(changed, [("bob", false), ("carol", true)]);
    let missing = bed.router.add_members(bed.members_of(&id, None, &["dave", "nobody"])).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::UserNotFound);
    assert_eq!(bed.role(&id, "dave").await, MemberRole::None, "none of them was added");
    let removed =
        bed.router.remove_members(bed.members_of(&id, None, &["alice", "bob", "dave"])).await.unwrap();
    let changed: Vec<_> = removed.changes.iter().map(|one| (one.user.as_str(), one.changed)).collect();
    assert_eq!(changed, [("alice", false), ("bob", true), ("dave", false)]);
    let many: Vec<String> = (0..101).map(|n| format!("u{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let refused = bed.router.add_members(bed.members_of(&id, None, &many)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
}

#[tokio::test]
async fn a_full_group_takes_nobody_and_a_private_one_nobody_by_themselves() {
    let bed = Bed::start().await;
    let small = ChannelSettings { members_max: Some(2), ..settings("two") };
    let full = bed.try_make_group("alice", &["bob", "carol"], small.clone()).await.unwrap_err();
    assert_eq!(full.kind(), ErrorKind::ChannelFull);
    let id = bed.try_make_group("alice", &["bob"], small).await.unwrap().channel.unwrap().name;
    let add = bed.router.add_members(bed.members_of(&id, None, &["carol"])).await.unwrap_err();
    assert_eq!(add.kind(), ErrorKind::ChannelFull);
    let join = |id: &str, user: &str| {
        bed.router.join(JoinRequest {
            app: bed.app.clone(),
            channel: group(id),
            user: user.into(),
            ..JoinRequest::default()
        })
    };
    assert_eq!(join(&id, "carol").await.unwrap_err().kind(), ErrorKind::ChannelFull);
    assert!(join(&id, "bob").await.unwrap().already);
    let hidden = ChannelSettings { public: Some(false), ..settings("hidden") };
    let hidden = bed.try_make_group("alice", &[], hidden).await.unwrap().channel.unwrap().name;
    assert_eq!(join(&hidden, "bob").await.unwrap_err().kind(), ErrorKind::ChannelNotFound);
    let shown = bed.router.channel(bed.the_group(&hidden, actor("bob"))).await;
    assert_eq!(shown.unwrap_err().kind(), ErrorKind::ChannelNotFound);
    let asked = ChannelSettings { approval_needed: Some(true), ..settings("asks") };
    let asked = bed.try_make_group("alice", &[], asked).await.unwrap().channel.unwrap().name;
    assert_eq!(join(&asked, "bob").await.unwrap_err().kind(), ErrorKind::ChannelForbidden);
    let open = bed.make_group("alice", &[]).await;
    assert!(!join(&open, "bob").await.unwrap().already);
    bed.send(bed.to_group("bob", &open, "hello")).await;
}

#[tokio::test]
async fn lists_are_paged_by_cursor_and_by_number() {
    let bed = Bed::start().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        bed.clock.advance_ms(5);
        ids.push(bed.make_group("alice", &["bob", "carol"]).await);
    }
    let list = |cursor: &str, page| ChannelsOfAppRequest {
        app: bed.app.clone(),
        kind: QueueKind::Group.into(),
        public_only: true,
        cursor: cursor.into(),
        limit: 2,
        page,
    };
    let names = |channels: Vec<ChannelInfo>| -> Vec<String> {
        channels.into_iter().map(|info| info.channel.unwrap().name).collect()
    };
    let first = bed.router.channels_of_app(list("", 0)).await.unwrap();
    assert_eq!((first.cursor.as_str(), first.channels[0].member_count), (ids[1].as_str(), 3));
    assert_eq!(names(first.channels), ids[..2]);
    let third = bed.router.channels_of_app(list(&ids[3], 0)).await.unwrap();
    assert_eq!((names(third.channels), third.cursor), (ids[4..].to_vec(), String::new()));
    assert_eq!(names(bed.router.channels_of_app(list("", 2)).await.unwrap().channels), ids[2..4]);

    let mine = |cursor: &str, page, limit| ChannelsOfUserRequest {
        app: bed.app.clone(),
        user: "bob".into(),
        kind: QueueKind::Group.into(),
        cursor: cursor.into(),
        limit,
        page,
    };
    let page = bed.router.channels_of_user(mine("", 2, 2)).await.unwrap();
    assert_eq!((page.count, page.channels[0].role()), (5, MemberRole::Member));
    assert_eq!(names(page.channels), ids[2..4]);
    let page = bed.router.channels_of_user(mine(&ids[2], 0, 10)).await.unwrap();
    assert_eq!((names(page.channels), page.cursor), (ids[3..].to_vec(), String::new()));
    assert_eq!(bed.router.channels_of_user(mine("", 0, 0)).await.unwrap().count, 5);

    let members = |cursor: &str, page| ListMembersRequest {
        app: bed.app.clone(),
        channel: group(&ids[0]),
        cursor: cursor.into(),
        limit: 2,
        page,
        actor: actor("bob"),
    };
    let users = |page: bulkhead_proto::router::MemberPage| -> Vec<(String, MemberRole)> {
        page.members.into_iter().map(|member| (member.user.clone(), member.role())).collect()
    };
    let first = bed.router.members(members("", 0)).await.unwrap();
    assert_eq!((first.count, first.cursor.as_str()), (3, "bob"));
    assert_eq!(users(first), [("alice".into(), MemberRole::Owner), ("bob".into(), MemberRole::Member)]);
    let rest = [("carol".into(), MemberRole::Member)];
    assert_eq!(users(bed.router.members(members("bob", 0)).await.unwrap()), rest);
    assert_eq!(users(bed.router.members(members("", 2)).await.unwrap()), rest);
    let other = ListMembersRequest { actor: actor("dave"), ..members("", 0) };
    assert_eq!(bed.router.members(other).await.unwrap_err().kind(), ErrorKind::NotMember);
}

#[tokio::test]
async fn a_destroyed_group_and_a_forgotten_user_leave_nothing_behind() {
    let bed = Bed::start().await;
    let (mine, other) = (bed.make_group("alice", &["bob"]).await, bed.make_group("bob", &["alice"]).await);
    bed.open("bob", "web_1").await;
    bed.send(bed.to_group("alice", &mine, "x")).await;
    bed.router.forget_user(bed.user("alice")).await.unwrap();
    let gone = bed.router.channel(bed.the_group(&mine, None)).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::ChannelNotFound);
    assert!(bed.open("bob", "web_1").await.is_empty());
    assert_eq!(bed.group_history("bob", &mine).await.unwrap_err().kind(), ErrorKind::ChannelNotFound);
    assert_eq!(bed.router.channel(bed.the_group(&other, None)).await.unwrap().member_count, 1);
    assert_eq!(bed.refusal(bed.to_group("alice", &other, "x")).await, ErrorKind::NotMember);
    let named = CreateChannelRequest {
        app: bed.app.clone(),
        kind: QueueKind::Group.into(),
        id: mine.clone(),
        owner: "carol".into(),
        settings: Some(settings("again")),
        ..CreateChannelRequest::default()
    };
    bed.router.create_channel(named.clone()).await.unwrap();
    let taken = bed.router.create_channel(named).await.unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::ChannelExists);
    assert!(bed.group_history("carol", &mine).await.unwrap().is_empty());
}

#[tokio::test]
async fn receipts_are_for_the_author_and_directed_messages_for_those_they_name() {
    let bed = Bed::start().await;
    let id = bed.make_group("alice", &["bob", "carol"]).await;
    bed.open("dave", "web_1").await;
    bed.open("carol", "web_1").await;
    let text = bed.send(bed.to_group("alice", &id, "read me")).await.id;
    let read =
        PublishRequest { kind: MessageKind::ReadAck.into(), target_id: text, ..bed.to_group("bob", &id, "") };
    bed.send(read.clone()).await;
    let directed = PublishRequest { only_users: vec!["bob".into()], ..bed.to_group("alice", &id, "psst") };
    let directed = bed.send(directed).await.id;
    assert_eq!(bed.events.channel_message().await.id, text);
    assert_eq!(bed.events.channel_message().await.only_users, ["alice"]);
    assert_eq!(bed.events.channel_message().await.only_users, ["bob"]);
    assert_eq!(bed.pull_group("carol", "web_1", &id).await, [text]);
    assert_eq!(bed.pull_group("bob", "web_2", &id).await.last(), Some(&directed));
    assert_eq!(bed.group_history("carol", &id).await.unwrap(), [text]);
    let nothing = PublishRequest { target_id: 5, ..read };
    assert_eq!(bed.refusal(nothing).await, ErrorKind::MessageNotFound);
}
