use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use bulkhead_api::AuthApi;
use bulkhead_model::{ErrorKind, Result};
use bulkhead_store::{Insert, Mutation, Row, RowKey, Scan, Store, tables};
use bulkhead_store_embedded::EmbeddedStore;
use bytes::Bytes;

use crate::region::{TestRegion, refused};

/// A store whose table of changes can be taken away.
struct WithoutChanges {
    store: Arc<EmbeddedStore>,
    is_away: AtomicBool,
    asked: AtomicUsize,
}

#[async_trait]
impl Store for WithoutChanges {
    async fn write(&self, mutations: Vec<Mutation>) -> Result<()> {
        self.store.write(mutations).await
    }
    async fn write_before(&self, mutations: Vec<Mutation>, deadline_ms: u64) -> Result<()> {
        self.store.write_before(mutations, deadline_ms).await
    }
    async fn insert_if_absent(&self, row: Insert) -> Result<Option<Bytes>> {
        self.store.insert_if_absent(row).await
    }
    async fn compare_and_set(&self, key: RowKey, expected: Option<Bytes>, value: Bytes) -> Result<bool> {
        self.store.compare_and_set(key, expected, value).await
    }
    async fn get_many(&self, keys: Vec<RowKey>) -> Result<Vec<Option<Bytes>>> {
        self.store.get_many(keys).await
    }
    async fn scan(&self, scan: Scan) -> Result<Vec<Row>> {
        if scan.table == &tables::AUTH_CHANGES {
            self.asked.fetch_add(1, Ordering::SeqCst);
            if self.is_away.load(Ordering::SeqCst) {
                return Err(ErrorKind::Unavailable.into());
            }
        }
        self.store.scan(scan).await
    }
}

#[tokio::test]
async fn nobody_is_let_in_while_changes_cannot_be_read_for_long() {
    let region = TestRegion::start().await;
    let store = Arc::new(WithoutChanges {
        store: region.store.clone(),
        is_away: AtomicBool::new(false),
        asked: AtomicUsize::new(0),
    });
    let auth = region.auth_on(store.clone());
    let token = region.token_of(region.now_s(), 600, 1);
    assert!(region.bearer_at(&auth, &token).await.is_ok());
    let asked = store.asked.load(Ordering::SeqCst);
    region.clock.advance_ms(199);
    assert!(region.bearer_at(&auth, &token).await.is_ok());
    assert_eq!(store.asked.load(Ordering::SeqCst), asked, "read a moment ago");

    store.is_away.store(true, Ordering::SeqCst);
    region.clock.advance_ms(600);
    assert!(region.bearer_at(&auth, &token).await.is_ok(), "a short outage is bridged");
    region.clock.advance_ms(1);
    assert_eq!(refused(region.bearer_at(&auth, &token).await), ErrorKind::Unavailable);
    region.revoke(&token).await.unwrap();
    store.is_away.store(false, Ordering::SeqCst);
    assert_eq!(refused(region.bearer_at(&auth, &token).await), ErrorKind::TokenExpired);
}

#[tokio::test]
async fn whoever_was_asleep_for_longer_than_changes_are_kept_forgets_all_that_it_knew() {
    let region = TestRegion::start().await;
    let another = region.another_auth();
    let token = region.token_of(region.now_s(), 86_400, 1);
    assert!(region.bearer_at(&another, &token).await.is_ok());
    region.auth.revoke_user_tokens(region.user("alice")).await.unwrap();
    region.clock.advance_ms(3_600_000);
    assert_eq!(refused(region.bearer_at(&another, &token).await), ErrorKind::TokenExpired);
}
