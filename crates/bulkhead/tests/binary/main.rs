//! The binary as an operator meets it: real processes, real folders, real ports.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

mod admin;
mod dev;
mod identity;
mod migrate;
mod readiness;
mod refusals;
mod residency;
mod roles;
mod support;
mod traces;
mod transport;
