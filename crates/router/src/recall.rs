//! A sender takes a message back (msync.md §4, features.md §7.2).

use bulkhead_model::{ErrorKind, Result};
use bulkhead_proto::records::{ContentKind, Message};
use bytes::Bytes;

use crate::directory::AppFacts;
use crate::log::Change;
use crate::publish::{Job, is_chat};

/// Judges a recall. Afterwards nothing of the target's text is in the log any more.
pub(crate) fn recall(job: &Job, target: Option<&Message>, app: &AppFacts, now_ms: u64) -> Result<Change> {
    let target = target
        .filter(|target| {
            is_chat(target.kind()) && !target.recalled && target.content() != ContentKind::Command
        })
        .ok_or(ErrorKind::MessageNotFound)?;
    if app.recall_disabled {
        return Err(ErrorKind::RecallDisabled.into());
    }
    if !job.request.administrative {
        if target.from_user != job.request.from_user {
            return Err(ErrorKind::NotAuthor.into());
        }
        if now_ms.saturating_sub(target.timestamp_ms) > app.recall_window_ms {
            return Err(ErrorKind::RecallTooLate.into());
        }
    }
    let target = Message { meta: Bytes::new(), recalled: true, ..target.clone() };
    Ok(Change { target, payload: None, notify: Bytes::new() })
}
