//! The storage port on an embedded LSM tree ([fjall]).
//!
//! One folder, one process, one writer. Every write goes through one thread that takes all that waits, makes one batch
//! of it and syncs the journal once ([`writer`]); a write is answered when that sync has returned. The next batch
//! gathers while the last one commits, so batches grow with the load and a lone write waits for nobody.
//!
//! Reads run on the caller's thread, each on a snapshot: a page of fifty rows costs some sixty microseconds, mostly from
//! memory. Handing it to another thread would cost more queues with limits of their own and win nothing on a machine
//! whose cores are busy anyway; the limit of a page bounds how long a caller's thread is held.

mod due;
mod engine;
mod mark;
mod read;
mod requests;
mod row;
mod sweep;
mod trees;
mod writer;

pub use engine::EmbeddedStore;
pub use mark::OpenError;
pub use sweep::Settings;
