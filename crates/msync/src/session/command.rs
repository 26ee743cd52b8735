use bytes::Bytes;

use crate::codec::LoginRequest;
use crate::proto::message_body::{self, content};
use crate::queue::{Position, Queue};

/// What a session wants done. Carried out in order.
pub enum Command {
    /// Send a binary frame.
    Send(Bytes),
    /// Send a WebSocket ping with this payload and hand its pong to [`Session::pong`](super::Session::pong).
    Ping([u8; 4]),
    /// Judge a login and answer it by [`Session::logged_in`](super::Session::logged_in).
    Login(Box<LoginRequest>),
    /// Publish and answer by [`Session::published`](super::Session::published).
    Publish(Box<Publish>),
    /// Join a room and answer by [`Session::joined`](super::Session::joined).
    Join(Box<Join>),
    /// Leave a room and answer by [`Session::left`](super::Session::left).
    Leave { client_id: u64, room: Queue },
    /// Ask which queues have messages and answer by [`Session::unread`](super::Session::unread).
    Unread,
    /// Ask the same after deliveries were dropped and answer by [`Session::recounted`](super::Session::recounted).
    Recount,
    /// Read a page and answer by [`Session::page`](super::Session::page).
    Pull { queue: Queue, key: u64 },
    /// The client has these; answer by [`Session::confirmed`](super::Session::confirmed).
    Confirm(Vec<Position>),
    /// Send what was commanded before, then close. The last command of a session.
    Close(CloseReason),
}

/// A message to publish.
pub struct Publish {
    /// Made by the client, the same for a resend.
    pub client_id: u64,
    pub to: Queue,
    /// Only this device of the receiver; empty for all.
    pub to_device: String,
    pub kind: message_body::Type,
    pub content: content::Type,
    /// The message that a receipt, recall or edit means; 0 for none.
    pub target_id: u64,
    /// The encoded `MessageBody`, to be relayed byte for byte.
    pub payload: Bytes,
    /// The encoded `Meta.ext` entries, each with its tag.
    pub extensions: Bytes,
    /// Of a group or room: only these members get it; empty for all.
    pub only_users: Vec<String>,
    pub online_only: bool,
    /// The sender's own other devices get it too.
    pub sync_devices: bool,
}

/// A room to join.
pub struct Join {
    /// Made by the client; the answer names it.
    pub client_id: u64,
    pub room: Queue,
    /// Words that the others are told.
    pub ext: String,
    pub leave_other_rooms: bool,
}

/// Why a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The client logged out.
    LoggedOut,
    /// The client was told by a kick frame, or that its login was refused.
    Kicked,
    Refused,
    /// Text where only binary frames have a meaning.
    NotBinary,
    /// A frame that means nothing.
    Malformed,
    /// A frame over its limit.
    TooLarge,
    /// A frame that this state does not allow, or too many of them.
    Policy,
    /// No login, or no sign of life, within the limit.
    Idle,
    /// This gateway stops or lost its router; the client is to come back.
    Restart,
    /// A service that is needed does not answer; the client is to come back.
    Unavailable,
}

impl CloseReason {
    /// The WebSocket close code (RFC 6455 §7.4.1). Clients ignore it; it is for people who look at the wire.
    pub fn code(self) -> u16 {
        match self {
            CloseReason::LoggedOut | CloseReason::Kicked | CloseReason::Refused => 1000,
            CloseReason::NotBinary => 1003,
            CloseReason::Malformed => 1007,
            CloseReason::Policy | CloseReason::Idle => 1008,
            CloseReason::TooLarge => 1009,
            CloseReason::Restart => 1012,
            CloseReason::Unavailable => 1013,
        }
    }
}
