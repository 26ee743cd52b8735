//! Who may call from another machine: the holder of a certificate of the given authority that has one of the listed names.

use std::sync::Arc;

use bulkhead_model::{ErrorKind, Result};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig,
    SignatureScheme, version,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use webpki::EndEntityCert;

/// What the files hold, as PEM.
pub struct MutualTlsTexts<'a> {
    /// The server's chain.
    pub certificate: &'a [u8],
    pub key: &'a [u8],
    /// The authority that callers' certificates come from.
    pub client_authority: &'a [u8],
}

/// TLS 1.3 in which both sides show a certificate.
pub struct MutualTls {
    pub(crate) config: Arc<ServerConfig>,
    names: Arc<[String]>,
}

impl MutualTls {
    /// `names` are accepted DNS names and URIs of callers' certificates (subject alternative names), each compared as a
    /// whole. `InvalidArgument`, which says what of the texts it is, when they do not serve.
    pub fn read(texts: &MutualTlsTexts<'_>, names: &[String]) -> Result<Self> {
        let wrong = |what: &'static str| ErrorKind::InvalidArgument.with(what);
        let chain = certificates(texts.certificate).ok_or_else(|| wrong("the certificate is no PEM"))?;
        let key = PrivateKeyDer::from_pem_slice(texts.key).map_err(|_| wrong("the private key is no PEM"))?;
        let mut roots = RootCertStore::empty();
        for root in certificates(texts.client_authority).ok_or_else(|| wrong("the client CA is no PEM"))? {
            roots.add(root).map_err(|_| wrong("the client CA is no certificate"))?;
        }
        let provider = Arc::new(default_provider());
        let chains = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .build()
            .map_err(|_| wrong("the client CA holds no certificate"))?;
        let names: Arc<[String]> = names.into();
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&version::TLS13])
            .map_err(|error| ErrorKind::Internal.with(error.to_string()))?
            .with_client_cert_verifier(Arc::new(ListedCaller { chains, names: names.clone() }))
            .with_single_cert(chain, key)
            .map_err(|_| wrong("certificate and private key do not serve"))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A resumed session would outlive a name that is struck off the list.
        config.send_tls13_tickets = 0;
        Ok(Self { config: Arc::new(config), names })
    }

    /// The listed name of a caller whose handshake has succeeded.
    pub(crate) fn caller(&self, certificate: &CertificateDer<'_>) -> Option<String> {
        listed(certificate, &self.names)
    }
}

fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()?;
    (!certificates.is_empty()).then_some(certificates)
}

fn names_in(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(certificate) = EndEntityCert::try_from(certificate) else { return Vec::new() };
    certificate.valid_dns_names().chain(certificate.valid_uri_names()).map(str::to_owned).collect()
}

fn listed(certificate: &CertificateDer<'_>, names: &[String]) -> Option<String> {
    names_in(certificate).into_iter().find(|name| names.contains(name))
}

/// A chain that leads to the authority, and a name that is on the list.
#[derive(Debug)]
struct ListedCaller {
    chains: Arc<dyn ClientCertVerifier>,
    names: Arc<[String]>,
}

impl ClientCertVerifier for ListedCaller {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chains.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.chains.verify_client_cert(certificate, intermediates, now)?;
        if listed(certificate, &self.names).is_none() {
            let names = names_in(certificate);
            tracing::warn!(?names, "a caller is refused: token_server.client_names has none of its names");
            return Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure));
        }
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}
