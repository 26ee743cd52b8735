//! MSYNC sessions over WebSockets, and over frames on a TLS connection.
//!
//! One task a socket. The [`Session`](bulkhead_msync::Session) decides; [`connection`] hands it what is ready (frames,
//! outcomes, deliveries, the time), carries out its commands in order, and writes everything with one flush.
//! [`Hub`] knows the sessions by their user and gives each delivery, encoded once, to all of them.

mod alarm;
mod begin;
mod calls;
mod channels;
mod connection;
mod hub;
mod lately;
mod login;
mod meters;
mod outbox;
mod person;
mod readiness;
mod reopen;
mod standing;
mod translate;
mod upgrade;
mod wire;

pub(crate) use hub::Hub;
pub(crate) use lately::Lately;
pub(crate) use meters::Meters;
pub(crate) use reopen::reopen_sessions;
pub(crate) use standing::watch_grants;
pub(crate) use upgrade::{routes, run_frames};
