//! The storage port on an embedded LSM tree ([fjall]).
//!
//! One folder, one process, one writer. Every write goes through one thread that takes all that waits, makes one batch
//! of it and syncs the journal once ([`writer`]); a write is answered when that sync has returned. The next batch
//! gathers while the last one commits, so batches grow with the load and a lone write waits for nobody.
//!
//! Reads run on the caller's thread: a page of fifty rows is some ten microseconds from memory, less than a hop to
//! another thread costs.

mod engine;
mod mark;
mod read;
mod requests;
mod row;
mod sweep;
mod writer;

pub use engine::EmbeddedStore;
pub use mark::OpenError;
