//! Every call by every service, and every table by every service, over real connections with certificates.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bulkhead_api::{AttachmentApi, AttachmentStream, AttachmentUpload, AuthApi, RouterApi};
use bulkhead_model::{ErrorKind, ManualClock, Result};
use bulkhead_proto::attachments::{AttachmentRequest, BeginUpload, ReadAttachmentRequest};
use bulkhead_proto::records::Attachment;
use bulkhead_rpc::permissions::{Access, CALLS, may_call, may_touch};
use bulkhead_rpc::{ERROR_KIND_HEADER, REGION_HEADER, RpcServer, Service, StorageClient};
use bulkhead_store::{Mutation, Put, RowKey, Scan, Scope, Store, Table, tables};
use bulkhead_store_embedded::EmbeddedStore;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint};
use tower::Service as _;

use crate::auth::EchoAuth;
use crate::bus_keys::CountedKeys;
use crate::certificates::{Authority, Wanted};
use crate::handshakes::tls_client;
use crate::retention::NothingKept;
use crate::support::{NotingRouter, REGION, Serving};

/// Every call that the proto files declare, as the path of its request.
fn declared_calls() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto");
    let mut files = Vec::new();
    proto_files(&root, &mut files);
    let set = protox::compile(files, [root]).unwrap();
    let mut calls = BTreeSet::new();
    for file in &set.file {
        for service in &file.service {
            for method in &service.method {
                calls.insert(format!("/{}.{}/{}", file.package(), service.name(), method.name()));
            }
        }
    }
    calls
}

fn proto_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            proto_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            found.push(path);
        }
    }
}

#[test]
fn every_call_that_a_proto_file_declares_stands_in_the_table_of_permissions_once_and_nothing_else_does() {
    let listed: Vec<_> = CALLS.iter().map(|rule| rule.call.to_owned()).collect();
    let set: BTreeSet<_> = listed.iter().cloned().collect();
    assert_eq!(set.len(), listed.len(), "a call stands there twice");
    assert_eq!(set, declared_calls());
    assert!(set.len() > 30);
}

/// Has no attachment and takes none.
struct NoAttachments;

#[async_trait]
impl AttachmentApi for NoAttachments {
    async fn begin(&self, _: BeginUpload) -> Result<Box<dyn AttachmentUpload>> {
        Err(ErrorKind::Unimplemented.into())
    }

    async fn head(&self, _: AttachmentRequest) -> Result<Attachment> {
        Err(ErrorKind::Unimplemented.into())
    }

    async fn read(&self, _: ReadAttachmentRequest) -> Result<AttachmentStream> {
        Err(ErrorKind::Unimplemented.into())
    }

    async fn delete(&self, _: AttachmentRequest) -> Result<()> {
        Err(ErrorKind::Unimplemented.into())
    }
}

/// One server for each process that serves gRPC.
struct Region {
    auth: Serving,
    router: Serving,
    storage: Serving,
    _folder: tempfile::TempDir,
}

impl Region {
    async fn start(authority: &Authority) -> Self {
        let any = || "127.0.0.1:0".parse().unwrap();
        let identity = |service| authority.identity(service);
        let auth: Arc<dyn AuthApi> = Arc::new(EchoAuth { version: 1 });
        let router: Arc<dyn RouterApi> =
            Arc::new(NotingRouter { answers_at_once: true, ..NotingRouter::default() });
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(1_700_000_000_000));
        let store: Arc<dyn Store> = EmbeddedStore::open(folder.path(), REGION, clock).unwrap();
        Self {
            auth: Serving::start_as(&identity(Service::Auth), any(), |stop| {
                RpcServer::auth(REGION, auth, stop)
            })
            .await,
            router: Serving::start_as(&identity(Service::Router), any(), |stop| {
                RpcServer::router(REGION, router, stop)
            })
            .await,
            storage: Serving::start_as(&identity(Service::Storage), any(), |stop| {
                RpcServer::storage(REGION, store, stop)
                    .with_attachments(Arc::new(NoAttachments))
                    .with_bus_keys(Arc::new(CountedKeys))
                    .with_retention(Arc::new(NothingKept))
            })
            .await,
            _folder: folder,
        }
    }

    /// The process that serves a call.
    fn serving(&self, call: &str) -> &Serving {
        match call.split('/').nth(1) {
            Some("bulkhead.auth.v1.Auth") => &self.auth,
            Some("bulkhead.router.v1.Router") => &self.router,
            Some(
                "bulkhead.storage.v1.Storage"
                | "bulkhead.storage.v1.BusKeys"
                | "bulkhead.storage.v1.Retention"
                | "bulkhead.attachments.v1.Attachments",
            ) => &self.storage,
            _ => panic!("{call}: this test knows no server of that service"),
        }
    }

    async fn stop(self) {
        for serving in [self.auth, self.router, self.storage] {
            serving.stop().await;
        }
    }
}

/// A connection that nothing of the crate's own client side takes part in.
async fn channel(authority: &Authority, caller: Service, serving: &Serving) -> Channel {
    let (address, certificate) = (serving.address, authority.issue(&Wanted::of(REGION, caller)));
    let connector = tls_client(Some(certificate), &[&rustls::version::TLS13]);
    let connector = tower::service_fn(move |_| {
        let connector = connector.clone();
        async move {
            let stream = TcpStream::connect(address).await?;
            let tls = connector.connect("bulkhead".try_into().unwrap(), stream).await?;
            std::io::Result::Ok(TokioIo::new(tls))
        }
    });
    Endpoint::from_static("http://service").connect_with_connector(connector).await.unwrap()
}

/// Makes a call with an empty message; whether it was refused as one that the caller may not make.
async fn is_denied(channel: &mut Channel, call: &str) -> bool {
    let request = Request::post(format!("http://service{call}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header(REGION_HEADER, REGION.name())
        .body(tonic::body::Body::new(Full::new(Bytes::from_static(&[0; 5]))))
        .unwrap();
    std::future::poll_fn(|context| channel.poll_ready(context)).await.unwrap();
    let answer = channel.call(request).await.unwrap();
    let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let denied = header(ERROR_KIND_HEADER).as_deref() == Some("PermissionDenied");
    assert!(!denied || header("grpc-status").as_deref() == Some("7"), "{call}");
    denied
}

#[tokio::test]
async fn every_service_may_make_exactly_the_calls_of_the_table() {
    let authority = Authority::new();
    let region = Region::start(&authority).await;
    for caller in Service::ALL {
        for call in declared_calls() {
            let mut channel = channel(&authority, caller, region.serving(&call)).await;
            let denied = is_denied(&mut channel, &call).await;
            assert_eq!(denied, !may_call(caller, &call), "{} calls {call}", caller.name());
        }
        let mut channel = channel(&authority, caller, &region.auth).await;
        assert!(is_denied(&mut channel, "/bulkhead.auth.v1.Auth/Nothing").await);
    }
    region.stop().await;
}

/// What can be done to a row, with the path of its call.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Put,
    Delete,
    DeleteRange,
    Insert,
    CompareAndSet,
    Get,
    Scan,
}

impl Deed {
    const ALL: [Deed; 7] = [
        Deed::Put,
        Deed::Delete,
        Deed::DeleteRange,
        Deed::Insert,
        Deed::CompareAndSet,
        Deed::Get,
        Deed::Scan,
    ];

    fn call(self) -> (&'static str, &'static [Access]) {
        match self {
            Deed::Put | Deed::Delete | Deed::DeleteRange => {
                ("/bulkhead.storage.v1.Storage/Write", &[Access::Write])
            }
            Deed::Insert => ("/bulkhead.storage.v1.Storage/InsertIfAbsent", &[Access::Read, Access::Write]),
            Deed::CompareAndSet => {
                ("/bulkhead.storage.v1.Storage/CompareAndSet", &[Access::Read, Access::Write])
            }
            Deed::Get => ("/bulkhead.storage.v1.Storage/Get", &[Access::Read]),
            Deed::Scan => ("/bulkhead.storage.v1.Storage/Scan", &[Access::Read]),
        }
    }

    async fn do_to(self, store: &StorageClient, table: &'static Table) -> Result<()> {
        let (scope, partition) = (Scope::Region, Bytes::from_static(b"p"));
        let key = RowKey { table, scope, partition: partition.clone(), clustering: Bytes::from_static(b"c") };
        let put = Put { key: key.clone(), value: Bytes::from_static(b"v"), expires_in_ms: None };
        let (from, to) = (Bytes::new(), Bytes::new());
        match self {
            Deed::Put => store.write(vec![Mutation::Put(put)]).await,
            Deed::Delete => store.write(vec![Mutation::Delete(key)]).await,
            Deed::DeleteRange => {
                store.write(vec![Mutation::DeleteRange { table, scope, partition, from, to }]).await
            }
            Deed::Insert => store.insert_if_absent(put).await.map(|_| ()),
            Deed::CompareAndSet => store.compare_and_set(key, None, put.value).await.map(|_| ()),
            Deed::Get => store.get(key).await.map(|_| ()),
            Deed::Scan => {
                let scan = Scan { table, scope, partition, from, to, descending: false, limit: 1 };
                store.scan(scan).await.map(|_| ())
            }
        }
    }
}

#[tokio::test]
async fn every_service_may_touch_exactly_the_tables_of_the_table() {
    let authority = Authority::new();
    let region = Region::start(&authority).await;
    for caller in Service::ALL {
        let peer = region.storage.peer_as(&authority.identity(caller), Service::Storage);
        let store = StorageClient::new(peer);
        for table in tables::ALL {
            for deed in Deed::ALL {
                let (call, accesses) = deed.call();
                let may =
                    may_call(caller, call) && accesses.iter().all(|access| may_touch(caller, table, *access));
                let outcome = deed.do_to(&store, table).await;
                let denied = outcome.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied);
                assert_eq!(denied, !may, "{} does {deed:?} to {table}", caller.name());
            }
        }
    }
    // One row that the caller may not touch is enough to refuse a write as a whole.
    let store =
        StorageClient::new(region.storage.peer_as(&authority.identity(Service::Auth), Service::Storage));
    let key = |table| RowKey { table, scope: Scope::Region, partition: "q".into(), clustering: Bytes::new() };
    let put = |table| Mutation::Put(Put { key: key(table), value: "v".into(), expires_in_ms: None });
    let refused = store.write(vec![put(&tables::USERS), put(&tables::MESSAGES)]).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
    assert_eq!(store.get(key(&tables::USERS)).await.unwrap(), None);
    region.stop().await;
}
