//! Groups and rooms in memory for the tests of this module: every one is there but "nowhere", belongs to alice, and has
//! bob in it; what was asked is written down.

use bulkhead_model::{ErrorKind, Result};
use bulkhead_proto::router::{
    ChangeOwnerRequest, ChannelInfo, ChannelPage, ChannelRequest, ChannelSettings, ChannelsOfAppRequest,
    ChannelsOfUserRequest, CreateChannelRequest, JoinRequest, ListMembersRequest, Member, MemberChange,
    MemberPage, MemberRequest, MemberRole, MembersChanged, MembersRequest, Queue, QueueKind,
    UpdateChannelRequest,
};
use parking_lot::Mutex;

/// One call to the router.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Asked {
    Create(CreateChannelRequest),
    Destroy(ChannelRequest),
    Update(UpdateChannelRequest),
    Owner(ChangeOwnerRequest),
    Find(ChannelRequest),
    OfApp(ChannelsOfAppRequest),
    OfUser(ChannelsOfUserRequest),
    Add(MembersRequest),
    Remove(MembersRequest),
    Join(JoinRequest),
    Leave(MemberRequest),
    Members(ListMembersRequest),
    Member(MemberRequest),
}

#[derive(Default)]
pub(super) struct FakeChannels {
    pub(super) asked: Mutex<Vec<Asked>>,
}

impl FakeChannels {
    /// The last call.
    pub(super) fn last(&self) -> Asked {
        self.asked.lock().last().cloned().expect("the router was asked")
    }

    pub(super) fn answer_info(&self, asked: Asked) -> Result<ChannelInfo> {
        let channel = match &asked {
            Asked::Create(request) => Some(Queue { name: "7".into(), kind: request.kind }),
            Asked::Destroy(request) | Asked::Find(request) => request.channel.clone(),
            Asked::Update(request) => request.channel.clone(),
            Asked::Owner(request) => request.channel.clone(),
            Asked::Join(request) => request.channel.clone(),
            Asked::Leave(request) => request.channel.clone(),
            _ => None,
        };
        self.asked.lock().push(asked);
        match channel {
            Some(channel) if channel.name == "nowhere" => Err(ErrorKind::ChannelNotFound.into()),
            Some(channel) if channel.name == "full" => Err(ErrorKind::ChannelFull.into()),
            channel => Ok(info(channel)),
        }
    }

    pub(super) fn answer_page(&self, asked: Asked) -> Result<ChannelPage> {
        let kind = match &asked {
            Asked::OfApp(request) => request.kind,
            Asked::OfUser(request) => request.kind,
            _ => QueueKind::Group.into(),
        };
        self.asked.lock().push(asked);
        let channel = info(Some(Queue { name: "7".into(), kind }));
        Ok(ChannelPage { channels: vec![channel], cursor: "7".into(), count: 5 })
    }

    /// Nothing is done with bob when he is to be added, nor with carol when she is to be removed.
    pub(super) fn answer_changes(&self, users: &[String], asked: Asked) -> Result<MembersChanged> {
        let unchanged = if matches!(asked, Asked::Add(_)) { "bob" } else { "carol" };
        self.asked.lock().push(asked);
        let changes = users.iter().map(|user| {
            let changed = user != unchanged;
            MemberChange {
                user: user.clone(),
                changed,
                reason: if changed { String::new() } else { "as it was".into() },
            }
        });
        Ok(MembersChanged { changes: changes.collect() })
    }

    pub(super) fn answer_members(&self, request: ListMembersRequest) -> Result<MemberPage> {
        self.asked.lock().push(Asked::Members(request));
        let member =
            |user: &str, role: MemberRole| Member { user: user.into(), role: role.into(), joined_ms: 9 };
        let members = vec![member("alice", MemberRole::Owner), member("bob", MemberRole::Member)];
        Ok(MemberPage { members, cursor: "bob".into(), count: 2 })
    }

    pub(super) fn answer_member(&self, request: MemberRequest) -> Result<Member> {
        let role = if request.user == "alice" { MemberRole::Owner } else { MemberRole::None };
        let user = request.user.clone();
        self.asked.lock().push(Asked::Member(request));
        Ok(Member { user, role: role.into(), joined_ms: 0 })
    }
}

fn info(channel: Option<Queue>) -> ChannelInfo {
    ChannelInfo {
        channel,
        settings: Some(ChannelSettings {
            name: Some("name".into()),
            members_max: Some(200),
            ..Default::default()
        }),
        owner: "alice".into(),
        created_ms: 1,
        modified_ms: 2,
        member_count: 2,
        role: MemberRole::Owner.into(),
        joined_ms: 9,
    }
}
