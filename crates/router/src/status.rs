//! What a backend asks about a user: what waits for them, and whether a message has arrived.

use bulkhead_model::{AppUuid, ErrorKind, MessageId, Result, slot_of};
use bulkhead_proto::router::{MessageDelivered, MessageStatusRequest, OfflineCount, UserRequest};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::core::Core;
use crate::keys::message_row;
use crate::publish::check_user;
use crate::unread::{self, COUNTED_AT_ONCE};

/// Chat messages that no device of the user has taken.
pub(crate) async fn offline_count(core: &Core, request: UserRequest) -> Result<OfflineCount> {
    let app = AppUuid::from_slice(&request.app)?;
    check_user(&request.user)?;
    let conversations = unread::conversations(core, app, &request.user).await?;
    let counting: Vec<_> = conversations
        .iter()
        .map(|one| {
            let count = one.row.incoming.saturating_sub(one.row.taken_incoming);
            one.kept(core, app, &request.user, count, one.row.taken_id)
        })
        .collect();
    let messages = stream::iter(counting).buffer_unordered(COUNTED_AT_ONCE);
    Ok(OfflineCount { messages: messages.try_fold(0, async |sum, count| Ok(sum + count)).await? })
}

/// Whether any device of the user has proven to have the message. `MessageNotFound` when it is in none of the user's
/// channels, wherever else it may be.
pub(crate) async fn message_status(core: &Core, request: MessageStatusRequest) -> Result<MessageDelivered> {
    let app = AppUuid::from_slice(&request.app)?;
    check_user(&request.user)?;
    let slot = MessageId(request.id).slot();
    let mut conversations = unread::conversations(core, app, &request.user).await?;
    conversations.retain(|one| {
        one.row.last_id >= request.id && one.joined.0 < request.id && slot_of(app, &one.key) == slot
    });
    let row_of = |key: &str| message_row(app, &Bytes::copy_from_slice(key.as_bytes()), request.id);
    let keys = conversations.iter().map(|one| row_of(&one.key)).collect();
    let found = core.get_many(keys).await?.into_iter().zip(conversations).find(|(row, _)| row.is_some());
    let (_, conversation) = found.ok_or(ErrorKind::MessageNotFound)?;
    Ok(MessageDelivered { delivered: conversation.row.taken_id >= request.id })
}
