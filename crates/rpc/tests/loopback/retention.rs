use std::sync::Arc;

use async_trait::async_trait;
use bulkhead_api::RetentionApi;
use bulkhead_model::{ErrorKind, ManualClock, Result};
use bulkhead_proto::storage::{RetentionReport, RetentionRequest};
use bulkhead_rpc::{RetentionClient, RpcServer};
use bulkhead_store_embedded::EmbeddedStore;

use crate::support::{REGION, Serving};

/// Knows one app.
pub(crate) struct NothingKept;

#[async_trait]
impl RetentionApi for NothingKept {
    async fn report(&self, request: RetentionRequest) -> Result<RetentionReport> {
        match request.app_key.as_str() {
            "demo#chat" => Ok(RetentionReport { plan: "pro".into(), ..RetentionReport::default() }),
            _ => Err(ErrorKind::AppNotFound.into()),
        }
    }
}

#[tokio::test]
async fn a_report_comes_through_a_connection_and_so_does_its_refusal() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(1_700_000_000_000));
    let store = EmbeddedStore::open(folder.path(), REGION, clock).unwrap();
    let serving =
        Serving::start(|stop| RpcServer::storage(REGION, store, stop).with_retention(Arc::new(NothingKept)));
    let serving = serving.await;
    let client = RetentionClient::new(serving.peer(REGION));
    let ask = async |app: &str| client.report(RetentionRequest { app_key: app.into() }).await;
    assert_eq!(ask("demo#chat").await.unwrap().plan, "pro");
    assert_eq!(ask("demo#none").await.unwrap_err().kind(), ErrorKind::AppNotFound);
    serving.stop().await;
}
