//! Making and opening keyspaces: whose they are, and what is refused.

use std::sync::Arc;

use bulkhead_model::{ManualClock, Region};
use bulkhead_store::{Mutation, Put, RowKey, Scope, Store, tables};
use bulkhead_store_cql::{CqlSettings, CqlStore, Migration, OpenError, migrate};
use bytes::Bytes;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;

use crate::bed;

const NOW_MS: u64 = 1_800_000_000_000;

async fn connect(settings: &CqlSettings) -> Result<Arc<CqlStore>, OpenError> {
    CqlStore::connect(settings, Arc::new(ManualClock::at(NOW_MS))).await
}

async fn refusal(settings: &CqlSettings) -> OpenError {
    connect(settings).await.err().expect("the keyspace is refused")
}

async fn operator(settings: &CqlSettings) -> Session {
    SessionBuilder::new().known_nodes(&settings.contact_points).build().await.unwrap()
}

fn row() -> RowKey {
    RowKey {
        table: &tables::USERS,
        scope: Scope::Region,
        partition: Bytes::from_static(b"p"),
        clustering: Bytes::new(),
    }
}

#[tokio::test]
async fn a_keyspace_is_made_once_and_keeps_its_rows() {
    let settings = bed::settings(bed::shared().await.unwrap());
    assert!(matches!(refusal(&settings).await, OpenError::NotMigrated { .. }), "nothing makes it by itself");
    assert_eq!(migrate(&settings, 1, NOW_MS).await.unwrap(), Migration { from: 0, to: 1 });
    let value = Bytes::from_static(b"kept");
    let put = Mutation::Put(Put { key: row(), value: value.clone(), expires_in_ms: None });
    connect(&settings).await.unwrap().write(vec![put]).await.unwrap();
    assert_eq!(migrate(&settings, 1, NOW_MS).await.unwrap(), Migration { from: 1, to: 1 });
    assert_eq!(connect(&settings).await.unwrap().get(row()).await.unwrap(), Some(value));
}

#[tokio::test]
async fn a_migration_that_was_interrupted_is_finished_by_the_next() {
    let settings = bed::settings(bed::shared().await.unwrap());
    migrate(&settings, 1, NOW_MS).await.unwrap();
    let operator = operator(&settings).await;
    let keyspace = &settings.keyspace;
    let back = format!("UPDATE {keyspace}.region_mark SET schema_version = 0 WHERE name = 'keyspace'");
    operator.query_unpaged(back, &[]).await.unwrap();
    operator.query_unpaged(format!("DROP TABLE {keyspace}.tokens"), &[]).await.unwrap();
    assert!(matches!(refusal(&settings).await, OpenError::NotMigrated { .. }));
    migrate(&settings, 1, NOW_MS).await.unwrap();
    connect(&settings).await.unwrap();
}

#[tokio::test]
async fn a_table_that_a_new_version_declares_is_missed_and_made() {
    let settings = bed::settings(bed::shared().await.unwrap());
    migrate(&settings, 1, NOW_MS).await.unwrap();
    let drop = format!("DROP TABLE {}.messages_buckets", settings.keyspace);
    operator(&settings).await.query_unpaged(drop, &[]).await.unwrap();
    assert!(matches!(refusal(&settings).await, OpenError::NotMigrated { .. }));
    migrate(&settings, 1, NOW_MS).await.unwrap();
    connect(&settings).await.unwrap();
}

#[tokio::test]
async fn a_keyspace_of_another_region_is_refused_and_not_changed() {
    let settings = bed::settings(bed::shared().await.unwrap());
    migrate(&settings, 1, NOW_MS).await.unwrap();
    let foreign = CqlSettings { region: Region::Frankfurt, ..settings.clone() };
    let error = refusal(&foreign).await;
    assert!(matches!(&error, OpenError::WrongRegion { found, .. } if found == "singapore"), "{error}");
    let error = migrate(&foreign, 1, NOW_MS).await.expect_err("it is refused");
    assert!(matches!(error, OpenError::WrongRegion { .. }), "{error}");
    connect(&settings).await.unwrap();
}

#[tokio::test]
async fn a_schema_of_a_later_version_is_refused() {
    let settings = bed::settings(bed::shared().await.unwrap());
    migrate(&settings, 1, NOW_MS).await.unwrap();
    let later =
        format!("UPDATE {}.region_mark SET schema_version = 2 WHERE name = 'keyspace'", settings.keyspace);
    operator(&settings).await.query_unpaged(later, &[]).await.unwrap();
    assert!(matches!(refusal(&settings).await, OpenError::NewerSchema { found: 2, newest: 1, .. }));
    let error = migrate(&settings, 1, NOW_MS).await.expect_err("it is refused");
    assert!(matches!(error, OpenError::NewerSchema { .. }), "{error}");
}

#[tokio::test]
async fn a_keyspace_that_is_kept_elsewhere_too_is_refused() {
    let settings = bed::settings(bed::shared().await.unwrap());
    let make = format!(
        "CREATE KEYSPACE {} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}",
        settings.keyspace
    );
    operator(&settings).await.query_unpaged(make, &[]).await.unwrap();
    for error in [migrate(&settings, 1, NOW_MS).await.err(), Some(refusal(&settings).await)] {
        assert!(matches!(error, Some(OpenError::WrongReplication { .. })), "{error:?}");
    }
}

#[tokio::test]
async fn tables_without_a_mark_are_left_alone() {
    let settings = bed::settings(bed::shared().await.unwrap());
    let operator = operator(&settings).await;
    let keyspace = &settings.keyspace;
    let make = format!(
        "CREATE KEYSPACE {keyspace} WITH replication = {{'class': 'NetworkTopologyStrategy', '{}': 1}}",
        settings.data_center
    );
    operator.query_unpaged(make, &[]).await.unwrap();
    let other = format!("CREATE TABLE {keyspace}.users (name text PRIMARY KEY)");
    operator.query_unpaged(other, &[]).await.unwrap();
    let error = migrate(&settings, 1, NOW_MS).await.expect_err("it is refused");
    assert!(matches!(error, OpenError::NoMark { .. }), "{error}");
}

#[tokio::test]
async fn a_data_center_that_the_database_does_not_have_is_named() {
    let settings = bed::settings(bed::shared().await.unwrap());
    let elsewhere = CqlSettings { data_center: "frankfurt".to_owned(), ..settings };
    let error = refusal(&elsewhere).await;
    assert!(matches!(&error, OpenError::WrongDataCenter { found, .. } if found == "singapore"), "{error}");
}

#[tokio::test]
async fn a_database_that_is_not_there_is_an_outage() {
    let settings = bed::settings(bed::shared().await.unwrap());
    let nowhere = CqlSettings { contact_points: vec!["127.0.0.1:1".to_owned()], ..settings };
    let error = refusal(&nowhere).await;
    assert!(error.is_outage(), "{error}");
}
