//! A Rust client of a region: tokens as an app's back end makes them, the REST API, and the MSYNC socket.
//!
//! A back end makes tokens with [`TokenBuilder`] and calls [`Rest`] with app privilege. A chat program opens a
//! [`Connection`]: it logs in, takes what waits (every page with its key, so that the server knows what arrived), sends
//! with acknowledgement, and turns what the server sends into [`Event`]s in the order of their ids, each once. A
//! dropped socket is opened again and what was not acknowledged is sent again under the same client id, so that the
//! server can tell it is the same message.
//!
//! Nothing here reads a clock or draws a random number by itself: both are passed in, as everywhere in the workspace.

mod connection;
mod error;
mod event;
pub mod frames;
mod message;
mod region;
mod rest;
mod tokens;
mod trust;

pub use connection::{Connection, Credential, Login, Options, Outgoing, Reconnect, Sent};
pub use error::ClientError;
pub use event::{Event, KickReason};
pub use message::{Message, text_body};
pub use region::RegionAddress;
pub use rest::{GrantedToken, HistoryPage, HistoryQuery, NewUser, Registered, Rest};
pub use tokens::TokenBuilder;
pub use trust::Trust;
