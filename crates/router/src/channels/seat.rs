//! How a user who reads stands to a group or room: from the lane's memory, or from the store.

use bulkhead_model::Result;
use bulkhead_proto::records;
use bulkhead_store::tables;

use super::key::ChannelRef;
use super::roster::Head;
use crate::conversation::Mark;
use crate::core::Core;
use crate::lane::decode;

/// A member's place in a channel.
pub(crate) struct Seat {
    pub(crate) key: ChannelRef,
    /// The user sees what comes after it.
    pub(crate) joined: Mark,
    /// The end of the log as the store has it, for a channel that is not in memory.
    pub(crate) stored: Head,
}

/// `None` for somebody who is no member.
pub(crate) async fn seat_of(core: &Core, key: ChannelRef, user: &str) -> Result<Option<Seat>> {
    let lane = core.lane_of_channel(&key);
    let known = lane.with(|state| state.rosters.get(&key).map(|roster| roster.members.get(user).copied()));
    let (member, stored) = match known {
        Some(member) => (member, Head::default()),
        None => {
            let rows = core.get_many(vec![key.member_row(user), key.row(&tables::HEADS)]).await?;
            let [member, head] = <[_; 2]>::try_from(rows).unwrap_or_default();
            let member = member.map(|row| decode::<records::Member>(Some(row))).transpose()?;
            (member, Head::stored(decode(head)?))
        }
    };
    let seat =
        |member: records::Member| Seat { key, joined: (member.joined_id, member.joined_incoming), stored };
    Ok(member.map(seat))
}
