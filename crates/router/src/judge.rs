//! May this be sent to this channel? One question per kind of channel.

use bulkhead_model::{ChannelKind, ErrorKind, Result};

use crate::load::Facts;
use crate::publish::Job;

/// Refuses a message that its sender may not send here.
pub(crate) fn may_send(job: &Job, facts: &Facts) -> Result<()> {
    match job.channel.kind() {
        ChannelKind::Direct => may_send_direct(job, facts),
        ChannelKind::Group | ChannelKind::Room => may_send_to_many(job, facts),
        // Nobody has made one yet, so none is found.
        ChannelKind::Thread => Err(ErrorKind::ChannelNotFound.into()),
    }
}

/// The channel is there and the sender is in it. A backend may send to a channel in anybody's name.
fn may_send_to_many(job: &Job, facts: &Facts) -> Result<()> {
    let draft = job.many.as_ref().and_then(|key| facts.channels.get(key));
    let draft = draft.filter(|draft| draft.record().is_some()).ok_or(ErrorKind::ChannelNotFound)?;
    if job.request.administrative || draft.member(&job.request.from_user).is_some() {
        Ok(())
    } else {
        Err(ErrorKind::NotMember.into())
    }
}

/// Both users exist. The sender is checked first: who is not there learns nothing about others.
fn may_send_direct(job: &Job, facts: &Facts) -> Result<()> {
    if job.request.administrative || facts.missing.is_empty() {
        return Ok(());
    }
    for user in [&job.request.from_user, &job.to.name] {
        if let Some(error) = facts.missing.get(&(job.app, user.as_str().into())) {
            return Err(error.clone());
        }
    }
    Ok(())
}
