//! Frames to values and values to frames.
//!
//! What a client sends is read in place: a message's body and extensions stay slices of the frame and are relayed byte
//! for byte, because re-encoding would change what a text is to the receiver (msync.md §3). What is on the message
//! path is written by hand into one buffer of exactly its size.

mod body;
mod down;
mod login;
mod room;
mod up;

pub use body::{Body, read_body};
pub use down::{
    RefusedSend, delivery, kick, logged_in, login_refused, notice, page, pull_finished, send_ack,
    send_refused, unread,
};
pub use login::LoginRequest;
pub use room::{RoomFacts, RoomRequest, read_room_request, room_joined};
pub use up::{UpFrame, UpMessage, UpPull, decode};
