use bulkhead_msync::proto::meta::NameSpace;
use bulkhead_msync::proto::statistics_body::Operation;
use bulkhead_msync::proto::{Meta, StatisticsBody, message_body::Type};
use prost::Message as _;

use crate::Message;

/// What a connection tells the program that holds it.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A chat message: from another user, or from an own other device.
    Message(Message),
    /// `by` has received a message.
    Delivered { by: String, message_id: u64 },
    /// `by` has read a message.
    Read { by: String, message_id: u64 },
    /// `by` has read the whole conversation.
    ConversationRead { by: String },
    /// `by` has recalled a message.
    Recalled { by: String, message_id: u64 },
    /// A message has new contents: those of `edit.body`.
    Edited { message_id: u64, edit: Message },
    /// What this client has no own event for: contacts, groups, notifications.
    Other(Meta),
    /// What waited for this device has been taken.
    Synced,
    /// The server has ended this session for good.
    Kicked { reason: KickReason, detail: String },
    /// The socket is gone; a new one is being made.
    Reconnecting { attempt: u32 },
    /// Logged in again.
    Reconnected,
    /// The last event: the connection has ended, with the reason for people.
    Disconnected { reason: String },
}

/// Why the server has ended a session (msync.md §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KickReason {
    UserRemoved,
    LoginOnAnotherDevice,
    PasswordChanged,
    ByOtherDevice,
}

impl Event {
    /// The event that a pushed or pulled `Meta` is; `None` for what means nothing to a program or cannot be read.
    pub(crate) fn from_meta(meta: Meta) -> Option<Self> {
        match meta.ns() {
            NameSpace::Chat => Self::from_chat(&meta),
            NameSpace::Statistic => kick(&meta),
            _ => Some(Event::Other(meta)),
        }
    }

    fn from_chat(meta: &Meta) -> Option<Self> {
        let Ok(message) = Message::from_meta(meta) else {
            tracing::debug!(id = meta.id(), "a message cannot be read");
            return None;
        };
        let message_id = message.body.ack_message_id();
        let by = message.from.clone();
        Some(match message.body.r#type() {
            Type::Normal | Type::Chat | Type::Groupchat | Type::Chatroom => Event::Message(message),
            Type::DeliverAck => Event::Delivered { by, message_id },
            Type::ReadAck => Event::Read { by, message_id },
            Type::ChannelAck => Event::ConversationRead { by },
            Type::Recall => Event::Recalled { by, message_id },
            Type::Edit => Event::Edited { message_id: message.body.edit_message_id(), edit: message },
        })
    }
}

fn kick(meta: &Meta) -> Option<Event> {
    let body = StatisticsBody::decode(meta.payload.clone().unwrap_or_default()).ok()?;
    let reason = match body.operation() {
        Operation::Information => return None,
        Operation::UserRemoved => KickReason::UserRemoved,
        Operation::UserLoginAnotherDevice => KickReason::LoginOnAnotherDevice,
        Operation::UserKickedByChangePassword => KickReason::PasswordChanged,
        Operation::UserKickedByOtherDevice => KickReason::ByOtherDevice,
    };
    Some(Event::Kicked { reason, detail: body.reason().to_owned() })
}
