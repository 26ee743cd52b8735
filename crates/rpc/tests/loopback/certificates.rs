//! Authorities and certificates of any kind, also of those that no authority should issue.

use std::time::{Duration, UNIX_EPOCH};

use bulkhead_model::Region;
use bulkhead_rpc::identity::{CredentialTexts, Credentials, CredentialsError, ServiceName};
use bulkhead_rpc::{Identity, Service};
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, SanType,
};

use crate::support::REGION;

/// An authority of a test.
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// What a certificate says.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub(crate) uris: Vec<String>,
    /// Seconds since 1970.
    pub(crate) from_s: u64,
    pub(crate) until_s: u64,
    pub(crate) usages: Vec<ExtendedKeyUsagePurpose>,
}

/// 1 January 2000, 2001 and 2100.
pub(crate) const YEAR_2000_S: u64 = 946_684_800;
pub(crate) const YEAR_2001_S: u64 = 978_307_200;
pub(crate) const YEAR_2100_S: u64 = 4_102_444_800;

pub(crate) fn name(region: Region, service: Service) -> ServiceName {
    ServiceName { region, service }
}

impl Wanted {
    /// A good certificate.
    pub(crate) fn of(region: Region, service: Service) -> Self {
        Self {
            uris: vec![name(region, service).to_string()],
            from_s: YEAR_2000_S,
            until_s: YEAR_2100_S,
            usages: vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
        }
    }
}

impl Authority {
    pub(crate) fn new() -> Self {
        Self::named(None)
    }

    /// An authority whose own certificate carries a URI.
    pub(crate) fn named(uri: Option<&str>) -> Self {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.subject_alt_names = uri.map(|uri| SanType::URI(uri.try_into().unwrap())).into_iter().collect();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate and its key, as PEM.
    pub(crate) fn issue(&self, wanted: &Wanted) -> (String, String) {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        let uris = wanted.uris.iter().map(|uri| SanType::URI(uri.as_str().try_into().unwrap()));
        params.subject_alt_names = uris.collect();
        params.not_before = (UNIX_EPOCH + Duration::from_secs(wanted.from_s)).into();
        params.not_after = (UNIX_EPOCH + Duration::from_secs(wanted.until_s)).into();
        params.extended_key_usages = wanted.usages.clone();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// Good credentials of a service.
    pub(crate) fn credentials(&self, region: Region, service: Service) -> Credentials {
        let (certificate, key) = self.issue(&Wanted::of(region, service));
        read(name(region, service), &self.pem, &certificate, &key).unwrap()
    }

    /// A good identity of this region's service.
    pub(crate) fn identity(&self, service: Service) -> Identity {
        Identity::new(self.credentials(REGION, service))
    }
}

pub(crate) fn read(
    name: ServiceName,
    authority: &str,
    certificate: &str,
    key: &str,
) -> Result<Credentials, CredentialsError> {
    let texts = CredentialTexts {
        authority: authority.as_bytes(),
        certificate: certificate.as_bytes(),
        key: key.as_bytes(),
    };
    Credentials::read(name, &texts)
}
