//! Every client against its server over a real loopback connection.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

mod attachments;
mod auth;
mod bus_keys;
mod certificates;
mod handshakes;
mod instances;
mod permissions;
mod region_guard;
mod retention;
mod router;
mod storage;
mod support;
