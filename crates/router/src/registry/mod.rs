//! What the routers of a region know of each other's sessions.
//!
//! Every router puts an entry for each of its sessions into the registry of the bus, under the topic of the session's
//! user, and renews it. Nobody waits for that: a login is answered from the local view, and the [keeper](keep) puts the
//! entries of all logins that came meanwhile with one call, reads what else is under those users, and forces out what is
//! too much. Put first and read then: of two logins at the same time at two routers, at least one sees the other.
//!
//! Entries of a router that is gone stay until they end by themselves; [who reads](elsewhere) leaves them out. A registry
//! that does not answer leaves each router with its own view.

mod elsewhere;
mod entry;
mod keep;
mod limit;
mod register;

pub(crate) use elsewhere::{Elsewhere, elsewhere};
pub(crate) use entry::Entered;
pub(crate) use keep::run;
pub(crate) use limit::Seen;
pub(crate) use register::{Register, Registration};
