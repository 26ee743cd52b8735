//! Who is refused in the handshake, by both ends, over a real loopback connection; and that it is counted.

use std::sync::Arc;
use std::time::Duration;

use bulkhead_model::{ErrorKind, Region};
use bulkhead_proto::router::UserRequest;
use bulkhead_rpc::identity::Refusal;
use bulkhead_rpc::{Identity, RouterClient, RpcServer, Service};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use rcgen::ExtendedKeyUsagePurpose;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::certificates::{Authority, Wanted, YEAR_2001_S, YEAR_2100_S, name, read};
use crate::support::{NotingRouter, REGION, Serving};
use bulkhead_api::RouterApi;

/// What each certificate is refused for.
fn cases(own: &Authority) -> Vec<(&'static str, Option<(String, String)>)> {
    let good = Wanted::of(REGION, Service::Gateway);
    let uris =
        |uris: &[&str]| Wanted { uris: uris.iter().map(ToString::to_string).collect(), ..good.clone() };
    let issue = |wanted: &Wanted| Some(own.issue(wanted));
    vec![
        ("no_certificate", None),
        // By this region's own authority, so that only the name can refuse it.
        ("other_region", issue(&Wanted::of(Region::Frankfurt, Service::Gateway))),
        // With the right name, so that only the authority can refuse it.
        ("other_ca", Some(Authority::new().issue(&good))),
        ("other_ca", issue(&Wanted { usages: vec![ExtendedKeyUsagePurpose::CodeSigning], ..good.clone() })),
        ("expired", issue(&Wanted { until_s: YEAR_2001_S, ..good.clone() })),
        ("not_yet_valid", issue(&Wanted { from_s: YEAR_2100_S - 1, ..good.clone() })),
        ("no_name", issue(&uris(&[]))),
        ("no_name", issue(&uris(&["https://singapore/gateway"]))),
        ("no_name", issue(&uris(&["spiffe://bulkhead/singapore/nothing"]))),
        (
            "no_name",
            issue(&uris(&["spiffe://bulkhead/singapore/gateway", "spiffe://bulkhead/singapore/auth"])),
        ),
    ]
}

/// A recorder for the tasks of this test alone: a test's runtime has one thread.
fn recorder() -> (PrometheusRecorder, PrometheusHandle) {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    (recorder, handle)
}

fn count(metrics: &PrometheusHandle, side: &str, reason: &str) -> u64 {
    let line = format!("bulkhead_handshakes_refused_total{{reason=\"{reason}\",side=\"{side}\"}} ");
    let rendered = metrics.render();
    rendered.lines().find_map(|rendered| rendered.strip_prefix(&line)?.parse().ok()).unwrap_or(0)
}

async fn wait_for_count(metrics: &PrometheusHandle, side: &str, reason: &str, wanted: u64) {
    let waiting = async {
        while count(metrics, side, reason) < wanted {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(10), waiting).await;
    assert!(waited.is_ok(), "{side} {reason}: {} of {wanted}", count(metrics, side, reason));
}

async fn serve_router(identity: &Identity) -> (Arc<NotingRouter>, Serving) {
    let router = Arc::new(NotingRouter { answers_at_once: true, ..NotingRouter::default() });
    let api: Arc<dyn RouterApi> = router.clone();
    let address = "127.0.0.1:0".parse().unwrap();
    let serving = Serving::start_as(identity, address, |stop| RpcServer::router(REGION, api, stop)).await;
    (router, serving)
}

pub(crate) fn tls_client(
    certificate: Option<(String, String)>,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> TlsConnector {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(trusting::Anyone));
    let config = match certificate {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
            builder
                .with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap())
                .unwrap()
        }
    };
    TlsConnector::from(Arc::new(config))
}

/// Whether a server lets a client of any kind get an answer out of it.
async fn is_answered(serving: &Serving, connector: &TlsConnector) -> bool {
    let stream = TcpStream::connect(serving.address).await.unwrap();
    let host = ServerName::try_from("bulkhead").unwrap();
    let Ok(mut tls) = connector.connect(host, stream).await else { return false };
    // An HTTP/2 server answers the preface with its settings.
    if tls.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.is_err() {
        return false;
    }
    tls.read_u8().await.is_ok()
}

#[tokio::test]
async fn a_server_refuses_every_wrong_certificate_in_the_handshake_and_counts_it_by_its_reason() {
    let (recorder, metrics) = recorder();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let own = Authority::new();
    let (router, serving) = serve_router(&own.identity(Service::Router)).await;

    let good = tls_client(Some(own.issue(&Wanted::of(REGION, Service::Gateway))), &[&rustls::version::TLS13]);
    assert!(is_answered(&serving, &good).await);
    for (reason, certificate) in cases(&own) {
        let before = count(&metrics, "called", reason);
        let connector = tls_client(certificate, &[&rustls::version::TLS13]);
        assert!(!is_answered(&serving, &connector).await, "{reason}");
        wait_for_count(&metrics, "called", reason, before + 1).await;
    }
    assert!(is_answered(&serving, &good).await, "a refused one leaves the others alone");
    assert!(router.published.lock().is_empty());
    serving.stop().await;
}

#[tokio::test]
async fn a_server_speaks_tls_1_3_and_nothing_else() {
    let (recorder, metrics) = recorder();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let own = Authority::new();
    let (_router, serving) = serve_router(&own.identity(Service::Router)).await;
    let good = own.issue(&Wanted::of(REGION, Service::Gateway));
    assert!(!is_answered(&serving, &tls_client(Some(good), &[&rustls::version::TLS12])).await);
    wait_for_count(&metrics, "called", "broken", 1).await;

    let mut plain = TcpStream::connect(serving.address).await.unwrap();
    plain.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    wait_for_count(&metrics, "called", "broken", 2).await;
    serving.stop().await;
}

/// A server that accepts everybody and shows a certificate.
async fn impostor((certificate, key): (String, String)) -> std::net::SocketAddr {
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = acceptor.accept(stream).await;
        }
    });
    address
}

#[tokio::test]
async fn a_caller_refuses_every_wrong_certificate_in_the_handshake_and_counts_it_by_its_reason() {
    let (recorder, metrics) = recorder();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let own = Authority::new();
    let identity = own.identity(Service::Gateway);
    let as_router = cases(&own).into_iter().filter_map(|(reason, certificate)| Some((reason, certificate?)));
    // A right certificate, but of another service than the one that was dialled.
    let other = ("other_service", own.issue(&Wanted::of(REGION, Service::Storage)));
    for (reason, certificate) in as_router.chain([other]) {
        let before = count(&metrics, "caller", reason);
        let address = impostor(certificate).await;
        let peer = bulkhead_rpc::connect(&identity, Service::Router, &format!("https://{address}")).unwrap();
        let client = RouterClient::new(peer);
        let refused = client.offline_count(UserRequest::default()).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unavailable, "{reason}");
        assert_eq!(count(&metrics, "caller", reason), before + 1, "{reason}");
        let dialled = identity.dialled().into_iter().find(|dialled| dialled.address == address).unwrap();
        assert_eq!((dialled.connected, dialled.failed, dialled.proven_region), (0, 1, None));
        assert_eq!(dialled.refused.map(Refusal::reason), Some(reason));
    }
}

#[tokio::test]
async fn two_services_of_a_region_meet_and_know_each_other() {
    let own = Authority::new();
    let (_router, serving) = serve_router(&own.identity(Service::Router)).await;
    let gateway = own.identity(Service::Gateway);
    let client = RouterClient::new(serving.peer_as(&gateway, Service::Router));
    assert_eq!(client.offline_count(UserRequest::default()).await.unwrap().messages, 7);
    assert_eq!(client.offline_count(UserRequest::default()).await.unwrap().messages, 7);
    let dialled = gateway.dialled();
    assert_eq!(dialled.len(), 1);
    let dialled = &dialled[0];
    assert_eq!((dialled.service, dialled.address), (Service::Router, serving.address));
    // One handshake for any number of calls.
    assert_eq!((dialled.connected, dialled.failed), (1, 0));
    assert_eq!(dialled.proven_region, Some(REGION));
    serving.stop().await;
}

#[tokio::test]
async fn replaced_credentials_count_from_the_next_handshake_on() {
    let (first, second) = (Authority::new(), Authority::new());
    let server = first.identity(Service::Router);
    let (_router, serving) = serve_router(&server).await;
    let old = RouterClient::new(serving.peer_as(&first.identity(Service::Gateway), Service::Router));
    old.offline_count(UserRequest::default()).await.unwrap();

    server.replace(second.credentials(REGION, Service::Router));
    let new = RouterClient::new(serving.peer_as(&second.identity(Service::Gateway), Service::Router));
    new.offline_count(UserRequest::default()).await.unwrap();
    // An open connection stays; another one is judged anew.
    old.offline_count(UserRequest::default()).await.unwrap();
    let late = RouterClient::new(serving.peer_as(&first.identity(Service::Gateway), Service::Router));
    let refused = late.offline_count(UserRequest::default()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    serving.stop().await;
}

#[tokio::test]
async fn without_certificates_nothing_but_loopback_addresses_is_served_or_dialled() {
    let api: Arc<dyn RouterApi> = Arc::new(NotingRouter::default());
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let server = RpcServer::router(REGION, api.clone(), Default::default());
    let refused = server.serve(listener, &Identity::insecure(REGION)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidArgument);

    let identity = Identity::insecure(REGION);
    let peer = bulkhead_rpc::connect(&identity, Service::Router, "http://192.0.2.1:1").unwrap();
    let refused = RouterClient::new(peer).offline_count(UserRequest::default()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = RpcServer::router(Region::Frankfurt, api, Default::default());
    let refused = server.serve(listener, &identity).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidArgument, "an identity of another region");
}

#[test]
fn credentials_that_the_others_would_refuse_are_refused_when_they_are_read() {
    let own = Authority::new();
    let router = name(REGION, Service::Router);
    let (certificate, key) = own.issue(&Wanted::of(REGION, Service::Router));
    assert!(read(router, &own.pem, &certificate, &key).is_ok());
    let said = |authority: &str, certificate: &str, key: &str| {
        read(router, authority, certificate, key).err().unwrap().to_string()
    };
    for (reason, issued) in cases(&own) {
        let Some((certificate, key)) = issued else { continue };
        let said = said(&own.pem, &certificate, &key);
        let expected = match reason {
            "other_region" => "the certificate is another region's",
            "other_ca" => "the certificate was not issued by the authority",
            "expired" => "the certificate has expired",
            "not_yet_valid" => "the certificate is not valid yet",
            _ => "the certificate does not hold exactly one name",
        };
        assert!(said.starts_with(expected), "{reason}: {said}");
    }
    let (gateway, gateway_key) = own.issue(&Wanted::of(REGION, Service::Gateway));
    assert_eq!(said(&own.pem, &gateway, &gateway_key), "the certificate is one of gateway, not of router");
    assert_eq!(said(&own.pem, &certificate, &gateway_key), "the key is not the certificate's");
    assert_eq!(said(&own.pem, &certificate, "x"), "the key is not PEM");
    assert_eq!(said(&own.pem, "x", &key), "the certificate holds no certificate");
    assert_eq!(said("x", &certificate, &key), "the authority holds no certificate");
    let frankfurt = Authority::named(Some("spiffe://bulkhead/frankfurt"));
    let both = format!("{}{}", own.pem, frankfurt.pem);
    assert_eq!(said(&both, &certificate, &key), "the authority is another region's");
    let singapore = Authority::named(Some("spiffe://bulkhead/singapore"));
    assert!(read(router, &format!("{}{}", own.pem, singapore.pem), &certificate, &key).is_ok());
}

mod trusting {
    //! A client that takes any server, to see what the server makes of the client.

    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::crypto::aws_lc_rs::default_provider;
    use rustls::{DigitallySignedStruct, Error, SignatureScheme};
    use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

    #[derive(Debug)]
    pub(super) struct Anyone;

    impl ServerCertVerifier for Anyone {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            default_provider().signature_verification_algorithms.supported_schemes()
        }
    }
}
