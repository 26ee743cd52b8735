//! The tables of the database, from the declarations of the port.

use bulkhead_store::{Compaction, Retention, Table, tables};

use crate::bucket::is_bucketed;

/// The schema that this version writes and the newest it reads.
pub(crate) const VERSION: i32 = 1;

/// Where the region mark and the schema's version stand.
pub(crate) const MARK_TABLE: &str = "region_mark";

/// How long a deletion is remembered, in seconds: ten days, within which an operator repairs every node, so that a node
/// which was away does not bring deleted rows back.
const GRACE_S: u64 = 10 * 24 * 60 * 60;

/// For tables whose rows only expire: the time for which a node that is away is kept hints, three hours.
const GRACE_OF_EXPIRING_S: u64 = 3 * 60 * 60;

/// Windows that the rows of a time-window table spread over while they live.
const WINDOWS: u64 = 26;

/// The statement that makes the keyspace.
pub(crate) fn keyspace(keyspace: &str, data_center: &str, copies: u16) -> String {
    format!(
        "CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {{'class': 'NetworkTopologyStrategy', \
         '{data_center}': {copies}}} AND durable_writes = true"
    )
}

/// [`keyspace`] for ScyllaDB from 6.0 on, whose newer way to place partitions has lightweight transactions only since
/// 2025.4. Earlier versions, and Cassandra, do not know the word.
pub(crate) fn keyspace_without_tablets(keyspace: &str, data_center: &str, copies: u16) -> String {
    format!("{} AND tablets = {{'enabled': false}}", self::keyspace(keyspace, data_center, copies))
}

/// The statement that makes the mark's table.
pub(crate) fn mark(keyspace: &str) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {keyspace}.{MARK_TABLE} (name text PRIMARY KEY, region text, \
         schema_version int, created_ms bigint)"
    )
}

/// The statements that make every declared table, and the index of the divided ones.
pub(crate) fn all(keyspace: &str) -> Vec<String> {
    let indexes =
        tables::ALL.into_iter().filter(|table| is_bucketed(table)).map(|table| index(keyspace, table));
    tables::ALL.into_iter().map(|declared| table(keyspace, declared)).chain(indexes).collect()
}

/// The statements that bring the tables of an earlier version to what [`all`] says; they can be repeated.
pub(crate) fn changes(keyspace: &str) -> Vec<String> {
    let without_end = tables::ALL.into_iter().filter(|table| table.retention == Retention::Plan);
    without_end
        .map(|table| format!("ALTER TABLE {keyspace}.{} WITH compaction = {}", table.name, compaction(table)))
        .collect()
}

/// The names of the tables that [`all`] makes.
pub(crate) fn names() -> impl Iterator<Item = String> {
    let indexes = tables::ALL.into_iter().filter(|table| is_bucketed(table)).map(index_name);
    tables::ALL.into_iter().map(|table| table.name.to_owned()).chain(indexes)
}

/// The name of the index of a divided table.
pub(crate) fn index_name(table: &Table) -> String {
    format!("{}_buckets", table.name)
}

fn table(keyspace: &str, table: &Table) -> String {
    let (bucket, bucket_key) = if is_bucketed(table) { ("bucket int, ", ", bucket") } else { ("", "") };
    let grace_s = match (table.retention, table.compaction) {
        (Retention::Fixed { .. }, Compaction::TimeWindow) => GRACE_OF_EXPIRING_S,
        _ => GRACE_S,
    };
    format!(
        "CREATE TABLE IF NOT EXISTS {keyspace}.{name} (scope blob, partition blob, {bucket}clustering blob, \
         value blob, PRIMARY KEY ((scope, partition{bucket_key}), clustering)) WITH compaction = {compaction} \
         AND gc_grace_seconds = {grace_s} AND default_time_to_live = {ttl_s}",
        name = table.name,
        compaction = compaction(table),
        ttl_s = default_ttl_s(table),
    )
}

/// Which days of a channel have rows; `ends` says until when, so that no later entry can end an earlier one.
fn index(keyspace: &str, table: &Table) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {keyspace}.{name} (scope blob, partition blob, bucket int, ends int, \
         PRIMARY KEY ((scope, partition), bucket, ends)) WITH compaction = {{'class': \
         'LeveledCompactionStrategy'}} AND gc_grace_seconds = {GRACE_S}",
        name = index_name(table),
    )
}

/// Only what a statement without a TTL would get; every statement of this engine names its own.
fn default_ttl_s(table: &Table) -> i32 {
    table.retention.own_life_ms().map_or(0, crate::row::ttl_s)
}

fn compaction(table: &Table) -> String {
    match (table.compaction, table.retention.own_life_ms()) {
        (Compaction::TimeWindow, Some(ms)) => {
            let hours = (ms / (60 * 60 * 1000)).div_ceil(WINDOWS).max(1);
            time_window("HOURS", hours)
        }
        // What has no end of its own leaves by deletion, and time windows never bring a deletion to what it deletes.
        (Compaction::Leveled, _) | (Compaction::TimeWindow, None) => {
            "{'class': 'LeveledCompactionStrategy'}".to_owned()
        }
    }
}

fn time_window(unit: &str, size: u64) -> String {
    format!(
        "{{'class': 'TimeWindowCompactionStrategy', 'compaction_window_unit': '{unit}', \
         'compaction_window_size': '{size}'}}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_follows_from_its_declaration() {
        assert_eq!(
            table("ks", &tables::USERS),
            "CREATE TABLE IF NOT EXISTS ks.users (scope blob, partition blob, clustering blob, value blob, PRIMARY \
             KEY ((scope, partition), clustering)) WITH compaction = {'class': 'LeveledCompactionStrategy'} AND \
             gc_grace_seconds = 864000 AND default_time_to_live = 0"
        );
        let messages = table("ks", &tables::MESSAGES);
        assert!(messages.contains("PRIMARY KEY ((scope, partition, bucket), clustering)"), "{messages}");
        assert!(messages.contains("compaction = {'class': 'LeveledCompactionStrategy'}"), "{messages}");
        let dedup = table("ks", &tables::DEDUP);
        assert!(
            dedup.contains("'compaction_window_unit': 'HOURS', 'compaction_window_size': '3'"),
            "{dedup}"
        );
        assert!(dedup.contains("gc_grace_seconds = 10800 AND default_time_to_live = 259260"), "{dedup}");
    }

    #[test]
    fn the_keyspace_is_kept_in_one_data_center() {
        assert_eq!(
            keyspace("ks", "singapore", 3),
            "CREATE KEYSPACE IF NOT EXISTS ks WITH replication = {'class': 'NetworkTopologyStrategy', 'singapore': \
             3} AND durable_writes = true"
        );
        let scylla = keyspace_without_tablets("ks", "singapore", 3);
        assert!(scylla.ends_with("durable_writes = true AND tablets = {'enabled': false}"), "{scylla}");
    }

    #[test]
    fn no_declared_table_has_a_name_of_the_engine() {
        for table in tables::ALL {
            assert!(table.name != MARK_TABLE && !table.name.ends_with("_buckets"), "{table}");
        }
    }
}
