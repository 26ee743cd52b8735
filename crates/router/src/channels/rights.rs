//! Who may change a group or room (features.md §3.7: role powers). Without an acting user everything is allowed.

use bulkhead_model::{Error, ErrorKind, Result};
use bulkhead_proto::records::ChannelRole;
use bulkhead_proto::router::Actor;

use super::draft::Draft;

/// Owner only.
pub(super) fn expect_owner(draft: &Draft, actor: Option<&Actor>) -> Result<()> {
    match role_of(draft, actor)? {
        None | Some(ChannelRole::Owner) => Ok(()),
        Some(_) => Err(not_allowed("only the owner may do this")),
    }
}

/// Owner or admin.
pub(super) fn expect_manager(draft: &Draft, actor: Option<&Actor>) -> Result<()> {
    match role_of(draft, actor)? {
        None | Some(ChannelRole::Owner | ChannelRole::Admin) => Ok(()),
        Some(ChannelRole::Member) => Err(not_allowed("only the owner or an admin may do this")),
    }
}

/// Whoever may bring others in.
pub(super) fn expect_inviter(draft: &Draft, actor: Option<&Actor>) -> Result<()> {
    let members_may = draft.record().is_some_and(|record| record.allow_invites);
    match role_of(draft, actor)? {
        Some(ChannelRole::Member) if !members_may => {
            Err(not_allowed("only the owner or an admin may invite"))
        }
        _ => Ok(()),
    }
}

/// Whether the actor may remove this member: the owner anybody else, an admin ordinary members.
pub(super) fn may_remove(draft: &Draft, actor: Option<&Actor>, role: ChannelRole) -> bool {
    let by = actor.and_then(|actor| draft.member(&actor.user)).map(|member| member.role());
    match role {
        ChannelRole::Owner => false,
        ChannelRole::Admin => actor.is_none() || by == Some(ChannelRole::Owner),
        ChannelRole::Member => true,
    }
}

pub(super) fn not_allowed(words: &'static str) -> Error {
    ErrorKind::ChannelForbidden.with(words)
}

/// `None` for app privilege; `NotMember` for an acting user who is not in the channel.
fn role_of(draft: &Draft, actor: Option<&Actor>) -> Result<Option<ChannelRole>> {
    let Some(actor) = actor else { return Ok(None) };
    draft.member(&actor.user).map(|member| Some(member.role())).ok_or_else(|| ErrorKind::NotMember.into())
}
