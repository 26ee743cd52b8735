//! Every client against its server over a real loopback connection.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

mod auth;
mod region_guard;
mod router;
mod storage;
mod support;
