//! A whole region in a test: real processes with a folder and ports of their own, which can be stopped, killed and
//! started again on what they left.
//!
//! A test says which [`Composition`] it wants and sees the same [`TestRegion`] either way, so that every end-to-end test
//! runs against one process and against the roles as separate processes.

mod cassandra;
mod cassandra_jars;
mod files;
mod process;
mod region;
mod roles;

pub use cassandra::Cassandra;
pub use files::files_that_contain;
pub use process::Process;
pub use region::{App, Composition, TestRegion, User};
