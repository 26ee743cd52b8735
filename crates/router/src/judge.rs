//! May this be sent to this channel? One question per kind of channel.

use bulkhead_model::{ChannelKind, ErrorKind, Result};

use crate::load::Facts;
use crate::publish::Job;

/// Refuses a message that its sender may not send here.
pub(crate) fn may_send(job: &Job, facts: &Facts) -> Result<()> {
    match job.channel.kind() {
        ChannelKind::Direct => may_send_direct(job, facts),
        // Nobody has made one yet, so none is found; membership, mute and allowlist are judged here.
        ChannelKind::Group | ChannelKind::Room | ChannelKind::Thread => {
            Err(ErrorKind::ChannelNotFound.into())
        }
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
