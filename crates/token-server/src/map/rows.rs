//! The tables of the map. They are of the token server alone; a region has none of them.

use bulkhead_store::{Compaction, Retention, Table};
use serde::{Deserialize, Serialize};

const fn forever(name: &'static str, partition: &'static str) -> Table {
    Table { name, partition, clustering: "", retention: Retention::Forever, compaction: Compaction::Leveled }
}

/// [`Mapped`].
pub(super) static USERS: Table = forever("token_server_users", "keyed hash of the app's own id");
/// The app's own id.
pub(super) static USERNAMES: Table = forever("token_server_usernames", "chat username");
/// The App ID, in lower case: opens with the right key only.
pub(super) static CHECK: Table = forever("token_server_check", "\"app\"");

/// Every table of the map, for whoever opens a store.
pub static TABLES: [&Table; 3] = [&USERS, &USERNAMES, &CHECK];

pub(super) const CHECK_PARTITION: &[u8] = b"app";

/// What is known of a user. Holds the app's own id, so it has no `Debug`.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Mapped {
    /// The app's own id.
    pub(crate) user: String,
    pub(crate) username: String,
    /// Unix milliseconds.
    pub(crate) created_ms: u64,
    /// Whether the region has said that it has the chat user.
    pub(crate) is_made: bool,
}
