//! Sockets of a gateway on real services: auth, router and the embedded engine, over loopback connections.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

mod channels;
mod client;
mod ends;
mod front;
mod limits;
mod login;
mod messages;
mod region;
