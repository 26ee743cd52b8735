//! A caller that is not misled but misleads: it holds a good certificate of its own region, believes whoever answers, and
//! knocks at the services of another region. They end the handshake and count it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme};

use crate::chat::runtime;
use crate::configuration::{read, text_of};
use crate::misconfigured::{DATA, GREETING_BYTES_MAX};
use crate::regions::{FOREIGN, MISTAKEN, Regions};

/// How long a service may take to answer or to count.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// How a gRPC client begins. A service that takes it answers.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// The metric of the side that was called.
const COUNTED: &str = "bulkhead_handshakes_refused_total{reason=\"other_region\",side=\"called\"} ";

/// Knocks at every service that takes calls.
pub(crate) fn is_refused(regions: &Regions) -> Result<()> {
    let config = Arc::new(config(regions)?);
    for service in ["auth", "router-1", "storage"] {
        let file = read(&regions.named(FOREIGN).configuration(service))?;
        let role = service.split('-').next().unwrap_or(service);
        let address = text_of(&file, &format!("{role}.listen"))?.parse()?;
        let before = counted(regions, service)?;
        regions.inside(MISTAKEN, || knock(config.clone(), address)).context(service)?;
        let since = Instant::now();
        while counted(regions, service)? == before {
            ensure!(since.elapsed() <= ANSWER_LIMIT, "{service} does not count whom it refuses");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    regions.traffic()?.holds_none_of(&DATA, GREETING_BYTES_MAX)
}

fn knock(config: Arc<ClientConfig>, address: SocketAddr) -> Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_LIMIT)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    let mut connection = ClientConnection::new(config, ServerName::try_from("somebody")?)?;
    let mut session = rustls::Stream::new(&mut connection, &mut stream);
    // In TLS 1.3 a caller learns only from the answer what became of its certificate.
    let answer = session.write_all(PREFACE).and_then(|()| session.read(&mut [0; 64]));
    match answer {
        Ok(0) | Err(_) => Ok(()),
        Ok(_) => bail!("answers a caller of another region"),
    }
}

/// How many callers of other regions a node has refused.
fn counted(regions: &Regions, node: &str) -> Result<u64> {
    let url = format!("{}/metrics", regions.named(FOREIGN).monitor_url(node)?);
    let metrics = regions.inside(FOREIGN, || {
        runtime()?.block_on(async { Ok(reqwest::get(url).await?.error_for_status()?.text().await?) })
    })?;
    let count = metrics.lines().find_map(|line| line.strip_prefix(COUNTED));
    Ok(count.map(str::parse).transpose()?.unwrap_or(0))
}

fn config(regions: &Regions) -> Result<ClientConfig> {
    let issued = regions.named(MISTAKEN).certificates().out();
    let chain: Vec<_> =
        CertificateDer::pem_file_iter(issued.join("router.pem"))?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(issued.join("router.key"))?;
    let provider = CryptoProvider::get_default().context("the test has installed one")?.clone();
    let anybody = Arc::new(Anybody(provider));
    let config = ClientConfig::builder().dangerous().with_custom_certificate_verifier(anybody);
    Ok(config.with_client_auth_cert(chain, key)?)
}

/// Believes everybody.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
