//! A database that wants TLS and a user.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bulkhead_model::ManualClock;
use bulkhead_store_cql::{CqlSettings, CqlStore, Credentials, OpenError, migrate};
use bulkhead_testkit::Cassandra;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{ClientConfig, RootCertStore};

use crate::bed;

const NOW_MS: u64 = 1_800_000_000_000;

/// How long a new node may take to make its first user.
const FIRST_USER_LIMIT: Duration = Duration::from_secs(60);

fn certificate() -> CertifiedKey<rcgen::KeyPair> {
    generate_simple_self_signed([Cassandra::host().to_string()]).unwrap()
}

fn trusting(certificate: &CertifiedKey<rcgen::KeyPair>) -> Option<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Some(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

fn user(password: &str) -> Option<Credentials> {
    Some(Credentials { user: "cassandra".to_owned(), password: password.to_owned() })
}

#[tokio::test]
async fn the_engine_speaks_tls_and_names_itself_and_believes_no_other_certificate() {
    let own = certificate();
    let pem = format!("{}{}", own.signing_key.serialize_pem(), own.cert.pem());
    let node = tokio::task::spawn_blocking(move || Cassandra::start_secured("singapore", &pem));
    let node = node.await.unwrap().unwrap();
    let right = CqlSettings { tls: trusting(&own), credentials: user("cassandra"), ..bed::settings(&node) };
    let start = Instant::now();
    while let Err(error) = migrate(&right, 1, NOW_MS).await {
        assert!(start.elapsed() < FIRST_USER_LIMIT, "{error}");
    }
    let clock = Arc::new(ManualClock::at(NOW_MS));
    CqlStore::connect(&right, clock.clone()).await.unwrap();

    let wrong = [
        CqlSettings { credentials: user("wrong"), ..right.clone() },
        CqlSettings { credentials: None, ..right.clone() },
        CqlSettings { tls: trusting(&certificate()), ..right.clone() },
    ];
    for settings in wrong {
        let error = CqlStore::connect(&settings, clock.clone()).await.err().expect("it is refused");
        assert!(matches!(error, OpenError::Refused { .. }), "{error:?}");
        assert!(!error.to_string().contains("wrong"), "no password in a text: {error}");
    }
    let without_tls = CqlSettings { tls: None, ..right };
    let error = CqlStore::connect(&without_tls, clock).await.err().expect("it is not answered");
    assert!(error.is_outage(), "{error:?}");
}
