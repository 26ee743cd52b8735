//! The region guard, from both sides, over a real loopback connection.

use std::sync::Arc;

use crate::support::{NotingRouter, NotingSink, REGION};
use bulkhead_api::RouterApi;
use bulkhead_model::{ErrorKind, Region};
use bulkhead_proto::router::{PublishRequest, UserRequest};
use bulkhead_rpc::{Identity, REGION_HEADER, RouterClient, Service, connect};
use tonic::Code;

#[tokio::test]
async fn a_client_of_another_region_reaches_nothing() {
    let router = Arc::new(NotingRouter { answers_at_once: true, ..NotingRouter::default() });
    let (serving, client) = router.serve().await;
    client.offline_count(UserRequest::default()).await.unwrap();
    for region in [Region::Frankfurt, Region::Virginia] {
        let stranger = RouterClient::new(serving.peer(region));
        let refused = stranger.offline_count(UserRequest::default()).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unavailable);
        let refused = stranger.publish(PublishRequest::default()).wait().await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unavailable);
        let (sink, _) = NotingSink::new();
        assert_eq!(stranger.attach("gateway", sink).await.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    assert!(router.published.lock().is_empty());
    assert!(router.sinks.lock().is_empty());
    serving.stop().await;
}

#[tokio::test]
async fn a_request_without_a_region_or_with_two_is_refused_as_a_failed_precondition() {
    let router = Arc::new(NotingRouter::default());
    let (serving, _client) = router.serve().await;
    let mut raw = serving.raw_router();
    for regions in [&[][..], &["singapore", "frankfurt"], &["singapore", "singapore"], &["Singapore"]] {
        let mut request = tonic::Request::new(UserRequest::default());
        for region in regions {
            request.metadata_mut().append(REGION_HEADER, region.parse().unwrap());
        }
        let refused = raw.offline_counts(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition, "{regions:?}");
        assert_eq!(refused.metadata().get(REGION_HEADER).unwrap(), REGION.name());
    }
    let mut request = tonic::Request::new(UserRequest::default());
    request.metadata_mut().insert(REGION_HEADER, REGION.name().parse().unwrap());
    let answer = raw.offline_counts(request).await.unwrap();
    assert_eq!(answer.metadata().get(REGION_HEADER).unwrap(), REGION.name());
    serving.stop().await;
}

/// Answers every call with a well-formed gRPC answer that names `region`, or none.
async fn impostor(region: Option<&'static str>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = move |_: http::Request<tonic::body::Body>| async move {
        let mut answer =
            tonic::Status::not_found("an answer from elsewhere").into_http::<tonic::body::Body>();
        if let Some(region) = region {
            answer.headers_mut().insert(REGION_HEADER, http::HeaderValue::from_static(region));
        }
        Ok::<_, std::convert::Infallible>(answer)
    };
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    tokio::spawn(async move {
        let server = tonic::transport::Server::builder();
        server.serve_with_incoming(tower::service_fn(answer), incoming).await
    });
    format!("http://{address}")
}

#[tokio::test]
async fn an_answer_of_another_region_or_of_none_is_not_taken() {
    for (region, kind) in [
        (Some("frankfurt"), ErrorKind::Unavailable),
        (None, ErrorKind::Unavailable),
        // The same answer from the own region is believed.
        (Some("singapore"), ErrorKind::Internal),
    ] {
        let url = impostor(region).await;
        let peer = connect(&Identity::insecure(REGION), Service::Router, &url).unwrap();
        let client = RouterClient::new(peer);
        let outcome = client.offline_count(UserRequest::default()).await;
        assert_eq!(outcome.unwrap_err().kind(), kind, "{region:?}");
    }
}
