//! Where a channel is.

use bulkhead_model::{AppUuid, Channel, slot_of};
use bulkhead_proto::router::{
    ChangeOwnerRequest, ChannelRequest, CreateChannelRequest, JoinRequest, MemberRequest, MembersRequest,
    PullRequest, Queue, QueueKind, UpdateChannelRequest,
};

/// The slot of the channel that `user` sees as this queue. For what names no channel it is any: every router refuses it.
pub(crate) fn slot_of_queue(app: &[u8], user: &str, queue: Option<&Queue>) -> u16 {
    let (Ok(app), Some(queue)) = (AppUuid::from_slice(app), queue) else { return 0 };
    let name = &queue.name;
    let channel = match queue.kind() {
        QueueKind::Direct => Channel::direct(user, name),
        QueueKind::Group => Channel::Group(name.clone()),
        QueueKind::Room => Channel::Room(name.clone()),
        QueueKind::Thread => Channel::Thread(name.clone()),
    };
    slot_of(app, &channel.key())
}

/// A request about one channel.
pub(crate) trait Placed {
    /// The slot of that channel.
    fn slot(&self) -> u16;
}

macro_rules! placed_by_channel {
    ($($request:ty)*) => {
        $(impl Placed for $request {
            fn slot(&self) -> u16 {
                slot_of_queue(&self.app, "", self.channel.as_ref())
            }
        })*
    };
}

placed_by_channel! {
    ChangeOwnerRequest ChannelRequest JoinRequest MemberRequest MembersRequest UpdateChannelRequest
}

impl Placed for CreateChannelRequest {
    fn slot(&self) -> u16 {
        slot_of_queue(&self.app, "", Some(&Queue { name: self.id.clone(), kind: self.kind }))
    }
}

impl Placed for PullRequest {
    fn slot(&self) -> u16 {
        let session = self.session.as_ref();
        let (app, user) = session.map_or((&[][..], ""), |session| (&session.app, &session.user));
        slot_of_queue(app, user, self.queue.as_ref())
    }
}
