//! AccessToken2 ("007"): encode, decode, verify.
//!
//! A back end that holds an App Certificate makes such a token without asking anyone; a server that knows the same
//! certificate judges it without asking anyone. Nothing here reads a clock or draws a random number: the time and the
//! salt are arguments. The byte layout is that of features.md §6, section numbers in this crate refer to it.
//!
//! A server first decodes ([`SignedToken::decode`]), reads the App ID to find the app, then verifies against the app's
//! certificates ([`SignedToken::verify`]). Nothing of a decoded token may be believed before it is verified, except as
//! a question of whom to ask.

mod chat;
mod decode;
mod encode;
mod error;
mod limits;
mod pack;
mod service;
mod signature;
mod token;
mod verify;

pub use chat::{build_chat_app_token, build_chat_user_token};
pub use decode::SignedToken;
pub use error::TokenError;
pub use limits::{CONTENT_BYTES_MAX, LIFE_S_MAX, PREFIX, SALT_MAX};
pub use service::{PRIVILEGE_CHAT_APP, PRIVILEGE_CHAT_USER, Service, ServiceKind};
pub use token::AccessToken;
pub use verify::{ChatGrant, ChatPrivilege};
