//! A sender changes a message's text (msync.md §4).

use bulkhead_model::limits::EDITS_MAX;
use bulkhead_model::{ErrorKind, Result};
use bulkhead_proto::records::{ContentKind, Message};
use bytes::Bytes;

use crate::log::Change;
use crate::publish::{Job, is_chat};
use crate::{body, meta};

/// Judges an edit and makes the three things that come of it: the changed message in the log, the body that is delivered,
/// and the JSON that is acknowledged.
pub(crate) fn edit(job: &Job, target: Option<&Message>, now_ms: u64) -> Result<Change> {
    let target = target.filter(|target| !target.recalled).ok_or(ErrorKind::MessageNotFound)?;
    if target.from_user != job.request.from_user {
        return Err(ErrorKind::NotAuthor.into());
    }
    if !is_chat(target.kind()) || !is_editable(target.content()) || !is_editable(job.content) {
        return Err(ErrorKind::EditNotAvailable.into());
    }
    if target.edits >= EDITS_MAX {
        return Err(ErrorKind::EditLimitReached.into());
    }
    let json = edit_json(job, target, now_ms);
    let edited = body::edited(meta::payload_of(&target.meta)?, &job.request.payload, &json)?;
    let changed = Message {
        meta: meta::with_payload(&target.meta, &edited)?,
        content: job.content.into(),
        edits: target.edits + 1,
        ..target.clone()
    };
    let payload = Some(body::with_meta(&job.request.payload, &json)?);
    Ok(Change { target: changed, payload, notify: Bytes::from(json) })
}

fn is_editable(content: ContentKind) -> bool {
    matches!(content, ContentKind::Text | ContentKind::Custom)
}

/// Usernames hold nothing that JSON would escape, and are legal or would not have come this far.
fn edit_json(job: &Job, target: &Message, now_ms: u64) -> String {
    let chat_type = match job.channel.kind() {
        bulkhead_model::ChannelKind::Direct => "user",
        bulkhead_model::ChannelKind::Group | bulkhead_model::ChannelKind::Thread => "group",
        bulkhead_model::ChannelKind::Room => "room",
    };
    format!(
        r#"{{"edit_msg":{{"count":{},"operator":"{}","edit_time":{now_ms},"sender":"{}","send_time":{},"chat_type":"chat:{chat_type}"}}}}"#,
        target.edits + 1,
        job.request.from_user,
        target.from_user,
        target.timestamp_ms,
    )
}
