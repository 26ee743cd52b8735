//! MSYNC: codec and sans-IO session.
//!
//! [`codec`] turns frames into values and back; [`Session`] is one client's socket as a state machine: frames, events
//! and the time go in, [`Command`]s come out. Nothing here reads a clock, a socket or randomness, so that every rule of
//! the protocol can be tested by a plain function call.

pub mod codec;
mod queue;
mod session;
mod transport;
mod wire;

/// The wire types, generated from `proto/msync/msync.proto`.
#[allow(clippy::all, unreachable_pub, reason = "generated code follows its generator's style")]
pub mod proto {
    include!("gen/msync.rs");
}

pub use queue::{CONFERENCE_DOMAIN, Position, Queue, QueueKind, USER_DOMAIN};
pub use session::{
    Ack, CloseReason, Command, Delivery, Join, LoggedIn, LoginRefusal, Page, Publish, Session, SessionLimits,
    login_refusal, send_refusal,
};
pub use transport::{TRANSPORT_ALPN, TransportError, TransportFrame};
pub use wire::Malformed;
