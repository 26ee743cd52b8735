//! The router on the real engine and the real auth service.

#![expect(clippy::unwrap_used, reason = "a helper that fails has to panic")]

mod bed;
mod changes;
mod cut_off;
mod elsewhere;
mod failures;
mod groups;
mod history;
mod offline;
mod partitions;
mod publish;
mod resend;
mod restart;
mod rooms;
mod routers;
mod sessions;
mod slots;
mod switches;
