//! Groups and rooms: channels of many.
//!
//! # What is kept
//!
//! A channel's members are read once into its lane's memory ([`roster`]). Its lane judges messages by them, so that a
//! message costs no query, however many members there are; and it writes one row for all of them, the head of the log.
//! What a member has taken is a row of that member's own, which the member's proof moves: how far somebody is behind is
//! the difference of the two.
//!
//! # What changes
//!
//! Whoever joins, leaves or is removed does so in the queue of the channel's lane ([`change`]), among its messages: the
//! one order of a channel is also the order in which its members come and go. A batch works on a [`draft`], which becomes
//! the roster when it is durable.
//!
//! # Who hears of it
//!
//! A message is one event for each gateway that has a member's session, and the gateway knows the members among its
//! sessions: [`crate::sessions`] counts who is interested, and tells gateways of every change in the order of messages.

pub(crate) mod change;
pub(crate) mod create;
pub(crate) mod depart;
pub(crate) mod draft;
pub(crate) mod effect;
mod event;
pub(crate) mod key;
mod limits;
pub(crate) mod load;
pub(crate) mod read;
mod rights;
pub(crate) mod roster;
pub(crate) mod seat;
pub(crate) mod submit;
