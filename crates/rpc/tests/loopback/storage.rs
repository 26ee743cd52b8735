use std::sync::Arc;

use bulkhead_model::ManualClock;
use bulkhead_proto::storage::storage_client::StorageClient as RawStorage;
use bulkhead_proto::storage::{Mutation, Put, RowKey, ScanRequest, WriteRequest, mutation::Change};
use bulkhead_rpc::{REGION_HEADER, RpcServer, StorageClient};
use bulkhead_store::Store;
use bulkhead_store::contract::{Fixture, run_all};
use bulkhead_store_embedded::EmbeddedStore;
use tempfile::TempDir;
use tonic::{Code, Request};

use crate::support::{REGION, Serving};

/// What a store behind a connection needs for as long as it is used.
struct Kept {
    _folder: TempDir,
    serving: Serving,
}

async fn serve() -> (Arc<ManualClock>, Kept) {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(1_700_000_000_000));
    let engine: Arc<dyn Store> = EmbeddedStore::open(folder.path(), REGION, clock.clone()).unwrap();
    let serving = Serving::start(|stop| RpcServer::storage(REGION, engine, stop)).await;
    (clock, Kept { _folder: folder, serving })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_behind_grpc_keeps_the_contract_of_the_port() {
    run_all(|| async {
        let (clock, kept) = serve().await;
        let store = Arc::new(StorageClient::new(kept.serving.peer(REGION)));
        Fixture { store, clock, keep: Box::new(kept) }
    })
    .await;
}

fn marked<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert(REGION_HEADER, REGION.name().parse().unwrap());
    request
}

#[tokio::test]
async fn a_request_that_names_no_declared_table_or_lacks_a_field_is_refused() {
    let (_clock, kept) = serve().await;
    let url = format!("http://{}", kept.serving.address);
    let channel = tonic::transport::Endpoint::from_shared(url).unwrap().connect_lazy();
    let mut raw = RawStorage::new(channel);
    let key = |table: &str, scope: &'static [u8]| RowKey {
        table: table.to_owned(),
        scope: scope.into(),
        partition: "p".into(),
        ..RowKey::default()
    };
    let put = |key| Some(Change::Put(Put { key, ..Put::default() }));
    for change in [
        None,
        put(None),
        put(Some(key("secrets", b""))),
        put(Some(key("users", b"short"))),
        Some(Change::Delete(key("", b""))),
    ] {
        let request = WriteRequest { mutations: vec![Mutation { change: change.clone() }], deadline_ms: 0 };
        let refused = raw.write(marked(request)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{change:?}");
    }
    let scan = ScanRequest { table: "secrets".to_owned(), limit: 1, ..ScanRequest::default() };
    assert_eq!(raw.scan(marked(scan)).await.unwrap_err().code(), Code::InvalidArgument);
    kept.serving.stop().await;
}
