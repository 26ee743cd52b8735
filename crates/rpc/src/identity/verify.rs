//! What a certificate must be before a byte of the other side is read: of this region's authority, in its time, and
//! named by exactly one URI as a service of this region.
//!
//! The host name plays no part. A name server that lies can lead a connection astray and nothing more: whoever answers
//! must hold the key of a certificate that names the service that was dialled.

use std::sync::Arc;

use bulkhead_model::Region;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::{EndEntityCert, KeyUsage};

use super::{Refusal, Service, ServiceName};

/// What is asked of every certificate.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) region: Region,
    pub(super) roots: RootCertStore,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

impl Check {
    /// Answers who the certificate names, or why it is refused.
    pub(super) fn judge(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        usage: KeyUsage,
        now: UnixTime,
    ) -> Result<ServiceName, Refusal> {
        // The name is read first, so that the reason is told as exactly as it can be. It counts for nothing until the
        // chain is verified too.
        let name = name_in(certificate)?;
        if name.region != self.region {
            return Err(Refusal::OtherRegion);
        }
        let certificate = EndEntityCert::try_from(certificate).map_err(|_| Refusal::NoName)?;
        certificate
            .verify_for_usage(self.algorithms.all, &self.roots.roots, intermediates, now, usage, None, None)
            .map_err(|error| match error {
                webpki::Error::CertExpired { .. } => Refusal::Expired,
                webpki::Error::CertNotValidYet { .. } => Refusal::NotYetValid,
                _ => Refusal::OtherAuthority,
            })?;
        Ok(name)
    }

    fn signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }
}

/// The one URI of a certificate, read as a name. Proves nothing.
pub(super) fn name_in(certificate: &CertificateDer<'_>) -> Result<ServiceName, Refusal> {
    let certificate = EndEntityCert::try_from(certificate).map_err(|_| Refusal::NoName)?;
    let mut uris = certificate.valid_uri_names();
    match (uris.next(), uris.next()) {
        (Some(uri), None) => uri.parse(),
        _ => Err(Refusal::NoName),
    }
}

/// The caller's side: the other end must be the service that was dialled.
#[derive(Debug)]
pub(super) struct DialledService {
    pub(super) check: Arc<Check>,
    pub(super) service: Service,
}

impl ServerCertVerifier for DialledService {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _host: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let name = self.check.judge(certificate, intermediates, KeyUsage::server_auth(), now);
        match name {
            Ok(name) if name.service == self.service => Ok(ServerCertVerified::assertion()),
            Ok(_) => Err(Refusal::OtherService.into_tls()),
            Err(refusal) => Err(refusal.into_tls()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(only_tls13())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check.signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.check.algorithms.supported_schemes()
    }
}

/// The called side: any service of the region may connect; what it may then call is another table's matter.
#[derive(Debug)]
pub(super) struct KnownService {
    pub(super) check: Arc<Check>,
}

impl ClientCertVerifier for KnownService {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // A caller has one certificate; it needs no hint.
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check
            .judge(certificate, intermediates, KeyUsage::client_auth(), now)
            .map(|_| ClientCertVerified::assertion())
            .map_err(Refusal::into_tls)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(only_tls13())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check.signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.check.algorithms.supported_schemes()
    }
}

fn only_tls13() -> Error {
    Error::PeerIncompatible(PeerIncompatible::Tls12NotOfferedOrEnabled)
}
