//! The trace of one message through separate processes, as a real collector receives it.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bulkhead_chassis::tls;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

use crate::roles::{endpoint, start};
use crate::support::{dev_json, http, stopped_region};

/// Spans are sent every five seconds.
const LIMIT: Duration = Duration::from_secs(60);

/// Each span with the service that it is of, and everything that was sent, as text.
#[derive(Clone, Default)]
struct Collector {
    spans: Arc<Mutex<Vec<(String, Span)>>>,
    text: Arc<Mutex<String>>,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let request = request.into_inner();
        self.text.lock().unwrap().push_str(&format!("{request:?}"));
        for resource in request.resource_spans {
            let attributes = resource.resource.unwrap().attributes;
            let named = attributes.iter().find(|attribute| attribute.key == "service.name").unwrap();
            let Some(Any::StringValue(service)) = named.value.clone().unwrap().value else {
                panic!("no name")
            };
            for scope in resource.scope_spans {
                let spans = scope.spans.into_iter().map(|span| (service.clone(), span));
                self.spans.lock().unwrap().extend(spans);
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// Listens with a certificate of an authority in the folder; answers the section of a configuration that leads there.
    async fn listen(folder: &Path) -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let files = tls::local_certificate(folder, address.ip()).unwrap();
        let read = |file: &Path| std::fs::read(file).unwrap();
        let identity = Identity::from_pem(read(&files.certificate), read(&files.key));
        let section = format!(
            "[telemetry]\notlp_endpoint = \"https://{address}\"\ntls_ca_file = \"{}\"\nregion = \"singapore\"\n\
             sample_ratio = 1.0\n",
            tls::local_authority_file(folder).display(),
        );
        let collector = Self::default();
        let service = TraceServiceServer::new(collector.clone());
        let tls = ServerTlsConfig::new().identity(identity);
        let serving = Server::builder().tls_config(tls).unwrap().add_service(service);
        tokio::spawn(serving.serve_with_incoming(TcpListenerStream::new(listener)));
        (collector, section)
    }

    /// The spans of the first trace that has come through all three services.
    async fn whole_trace(&self) -> Vec<(String, Span)> {
        let since = Instant::now();
        loop {
            let spans = self.spans.lock().unwrap().clone();
            for (_, root) in spans.iter().filter(|(_, span)| span.parent_span_id.is_empty()) {
                let of_trace: Vec<_> =
                    spans.iter().filter(|(_, span)| span.trace_id == root.trace_id).cloned().collect();
                let has = |service: &str| of_trace.iter().any(|(of, _)| of == service);
                if has("bulkhead-gateway") && has("bulkhead-router") && has("bulkhead-storage") {
                    return of_trace;
                }
            }
            assert!(since.elapsed() < LIMIT, "no whole trace among {spans:#?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test]
async fn one_message_is_one_trace_through_gateway_router_and_storage() {
    let folder = stopped_region();
    let app = dev_json(folder.path())["regions"][0]["apps"][0].clone();
    let certificates = tempfile::tempdir().unwrap();
    let (collector, telemetry) = Collector::listen(certificates.path()).await;
    let (data, key) = (folder.path().display(), folder.path().join("region.key"));
    let storage_settings =
        format!("{telemetry}[storage]\ndata_dir = \"{data}\"\nregion_key_file = \"{}\"\n", key.display());
    let (storage, storage_at) = start(folder.path(), "storage", &storage_settings);
    let to_storage = endpoint("storage", &storage_at);
    let (auth, auth_at) = start(folder.path(), "auth", &format!("{telemetry}{to_storage}"));
    let to_auth = endpoint("auth", &auth_at);
    let (router, router_at) = start(folder.path(), "router", &format!("{telemetry}{to_storage}{to_auth}"));
    let to_all = format!("{telemetry}{to_storage}{to_auth}{}", endpoint("router", &router_at));
    let (gateway, gateway_at) = start(folder.path(), "gateway", &to_all);

    let client = http();
    let url = format!("http://{gateway_at}/demo/chat");
    let login = json!({
        "grant_type": "client_credentials",
        "client_id": app["client_id"],
        "client_secret": app["client_secret"],
    });
    let answer = client.post(format!("{url}/token")).json(&login).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    let token = answer["access_token"].as_str().unwrap();
    let message =
        json!({ "from": "alice", "to": ["bob"], "type": "txt", "body": { "msg": "not for collectors" } });
    let sent = client.post(format!("{url}/messages/users")).bearer_auth(token).json(&message).send().await;
    assert_eq!(sent.unwrap().status().as_u16(), 200);

    let trace = collector.whole_trace().await;
    let find = |service: &str, name: &str| {
        let found = trace.iter().find(|(of, span)| of == service && span.name == name);
        &found.unwrap_or_else(|| panic!("no {name} of {service} in {trace:#?}")).1
    };
    let message = find("bulkhead-gateway", "message");
    let served = find("bulkhead-router", "/bulkhead.router.v1.Router/Publish");
    let sequenced = find("bulkhead-router", "sequence");
    let batch = find("bulkhead-router", "batch");
    let written = find("bulkhead-storage", "/bulkhead.storage.v1.Storage/Write");
    for (child, parent) in [(served, message), (sequenced, served), (batch, sequenced), (written, batch)] {
        assert_eq!(child.parent_span_id, parent.span_id, "{} is part of {}", child.name, parent.name);
    }
    assert!(message.start_time_unix_nano <= written.start_time_unix_nano);

    for role in [gateway, router, auth, storage] {
        assert_eq!(role.stop().code, 0);
    }
    let told = collector.text.lock().unwrap().clone();
    for kept in
        ["not for collectors", "alice", "bob", "demo", "chat", token, app["client_id"].as_str().unwrap()]
    {
        assert!(!told.contains(kept), "the collector was told {kept}: {told}");
    }
}
