//! Every table of a region, declared once. Value types are the messages of `proto/bulkhead/records`.

use bulkhead_model::limits::RESEND_WINDOW_MS;

use crate::{Compaction, Retention, Table};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// The class of what belongs to a console account, and of what belongs to a device: erased when it was not used for 180 days.
pub const UNUSED: Retention = Retention::Idle { ms: 180 * DAY_MS };

const fn forever(name: &'static str, partition: &'static str, clustering: &'static str) -> Table {
    Table { name, partition, clustering, retention: Retention::Forever, compaction: Compaction::Leveled }
}

/// `records.App`, scope region.
pub static APPS: Table = forever("apps", "\"apps\"", "org#app");
/// `records.AppName`, scope region.
pub static APP_IDS: Table = forever("app_ids", "App ID in lower case", "");
/// `records.AppName`, scope region.
pub static APP_UUIDS: Table = forever("app_uuids", "app uuid", "");
/// `records.User`.
pub static USERS: Table = forever("users", "username", "");
/// Username; the order in which users registered.
pub static USERS_BY_TIME: Table = forever("users_by_time", "\"users\"", "8 bytes of time, 8 of salt");
/// Username.
pub static USER_UUIDS: Table = forever("user_uuids", "user uuid", "");
/// `records.Token`; expires with the token.
pub static TOKENS: Table = forever("tokens", "SHA-256 of the token", "");
/// `records.RevokedToken`; expires when the token would have ended.
pub static REVOKED_TOKENS: Table = forever("revoked_tokens", "SHA-256 of the token", "");
/// `records.AuthChange`, scope region: what the auth services of a region tell each other and gateways; each row expires
/// minutes after its time.
pub static AUTH_CHANGES: Table =
    forever("auth_changes", "8 bytes of ten minutes", "8 bytes of time, 8 of salt");
/// `records.Message`: the log of a channel.
pub static MESSAGES: Table = Table {
    name: "messages",
    partition: "channel key",
    clustering: "8 bytes of message id",
    retention: Retention::Plan,
    // Rows leave by deletion, which gives back space only where deletions meet what they delete.
    compaction: Compaction::Leveled,
};
/// `records.Sent`: what a device has sent.
pub static DEDUP: Table = Table {
    name: "dedup",
    partition: "username, 0, device",
    clustering: "8 bytes of client id, 1 of message kind",
    retention: Retention::Fixed { ms: RESEND_WINDOW_MS },
    compaction: Compaction::TimeWindow,
};
/// `records.Conversation`: how a user stands to a channel.
pub static CONVERSATIONS: Table = Table {
    name: "conversations",
    partition: "username",
    clustering: "channel key",
    retention: Retention::Plan,
    compaction: Compaction::Leveled,
};
/// `records.Device` and `records.Cursor`.
pub static DEVICES: Table = Table {
    name: "devices",
    partition: "username",
    clustering: "device, 0, channel key or nothing",
    retention: UNUSED,
    compaction: Compaction::Leveled,
};
/// `records.Channel`: a group or room.
pub static CHANNELS: Table = forever("channels", "channel key", "");
/// No value; the groups, public groups and rooms of an app.
pub static CHANNELS_BY_APP: Table =
    forever("channels_by_app", "\"groups\", \"public_groups\" or \"rooms\"", "channel id");
/// `records.Member`: who is in a group or room.
pub static MEMBERS: Table = forever("members", "channel key", "username");
/// `records.Member`: the groups and rooms of a user.
pub static MEMBERSHIPS: Table = forever("memberships", "username", "channel key");
/// `records.Head`: where the log of a group or room ends.
pub static HEADS: Table = forever("heads", "channel key", "");
/// `records.Attachment` under an empty clustering key; under "was" a mark without content that outlives it, so that a
/// file that has expired can be told from one that never was.
pub static ATTACHMENTS: Table = Table {
    name: "attachments",
    partition: "attachment uuid",
    clustering: "nothing or \"was\"",
    retention: Retention::Plan,
    compaction: Compaction::Leveled,
};
/// When to look whether the objects of an attachment have to go, scope region; no value.
pub static ATTACHMENT_ENDS: Table =
    forever("attachment_ends", "8 bytes of hour, or \"swept\"", "app uuid, attachment uuid");
/// What an app has of each half day that ends with its plan, so that the sweep finds it without a look at what is kept:
/// channels and attachments by half day, and which half days there are. In scope region the apps that have any, and
/// `records.Sweep`, how far the sweep of each has come.
pub static RETAINED: Table = forever("retained", "what, then a half day and a part of it", "whose");
/// `records.RouterMember`, scope region.
pub static ROUTERS: Table = forever("routers", "\"routers\"", "id of the router");
/// `records.SlotRange`, scope region. A partition each, so that changes of several ranges do not wait for each other.
pub static SLOTS: Table = forever("slots", "2 bytes of range", "");
/// Wrapped data keys; only the storage service reads and writes it, and never through the sealed port.
pub static DATA_KEYS: Table = forever("data_keys", "app uuid or \"region\"", "4 bytes of key version");

/// Every table, in the order in which a schema creates them.
pub static ALL: [&Table; 24] = [
    &APPS,
    &APP_IDS,
    &APP_UUIDS,
    &USERS,
    &USERS_BY_TIME,
    &USER_UUIDS,
    &TOKENS,
    &REVOKED_TOKENS,
    &AUTH_CHANGES,
    &MESSAGES,
    &DEDUP,
    &CONVERSATIONS,
    &DEVICES,
    &CHANNELS,
    &CHANNELS_BY_APP,
    &MEMBERS,
    &MEMBERSHIPS,
    &HEADS,
    &ATTACHMENTS,
    &ATTACHMENT_ENDS,
    &RETAINED,
    &ROUTERS,
    &SLOTS,
    &DATA_KEYS,
];

/// Finds a declared table by its name.
pub fn by_name(name: &str) -> Option<&'static Table> {
    ALL.into_iter().find(|table| table.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_has_a_name_of_its_own() {
        for table in ALL {
            assert_eq!(ALL.iter().filter(|other| other.name == table.name).count(), 1, "{table}");
            assert_eq!(by_name(table.name), Some(table));
        }
    }
}
