use std::sync::Arc;
use std::time::Duration;

use bulkhead_model::Region;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::server::NoServerSessionStorage;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage};

use super::name::region_in;
use super::verify::{Check, DialledService, KnownService};
use super::{Refusal, Service, ServiceName};

/// Beyond the end of any certificate: the year 2100, and a life that is longer is as good as endless.
const LAST_SECOND: u64 = 4_102_444_800;

/// The three texts that make a process known to the others, as PEM.
pub struct CredentialTexts<'a> {
    /// The region's authority; several certificates while one authority replaces another.
    pub authority: &'a [u8],
    /// The process's certificate, then intermediates if there are any.
    pub certificate: &'a [u8],
    /// The certificate's private key.
    pub key: &'a [u8],
}

/// Which of the texts does not serve, and why. Holds nothing of a text.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    #[error("the authority {0}")]
    Authority(String),
    #[error("the certificate {0}")]
    Certificate(String),
    #[error("the key {0}")]
    Key(String),
}

/// The certificate of this process and the authority that it trusts.
pub struct Credentials {
    name: ServiceName,
    expires_s: u64,
    check: Arc<Check>,
    own: Arc<SingleCertAndKey>,
    provider: Arc<CryptoProvider>,
    server: Arc<ServerConfig>,
}

impl Credentials {
    /// Reads the texts and makes sure that the other services would take them: `name` stands in the certificate, the
    /// authority has issued it, it is in its time, and the key is its key.
    pub fn read(name: ServiceName, texts: &CredentialTexts<'_>) -> Result<Self, CredentialsError> {
        let provider = Arc::new(default_provider());
        let check = Arc::new(Check {
            region: name.region,
            roots: read_authority(name.region, texts.authority)?,
            algorithms: provider.signature_verification_algorithms,
        });
        let chain: Vec<_> = CertificateDer::pem_slice_iter(texts.certificate)
            .collect::<Result<_, _>>()
            .map_err(|_| CredentialsError::Certificate("is not PEM".to_owned()))?;
        judge_own(name, &check, &chain)?;
        let expires_s = expiry_of(&check, &chain);

        let key = PrivateKeyDer::from_pem_slice(texts.key)
            .map_err(|_| CredentialsError::Key("is not PEM".to_owned()))?;
        let key = provider
            .key_provider
            .load_private_key(key)
            .map_err(|_| CredentialsError::Key("is of an unknown kind".to_owned()))?;
        let own = CertifiedKey::new(chain, key);
        own.keys_match().map_err(|_| CredentialsError::Key("is not the certificate's".to_owned()))?;
        let own = Arc::new(SingleCertAndKey::from(own));
        let server = server_config(provider.clone(), check.clone(), own.clone())?;
        Ok(Self { name, expires_s, check, own, provider, server })
    }

    /// Who the certificate names.
    pub fn name(&self) -> ServiceName {
        self.name
    }

    /// When the certificate ends, in Unix seconds.
    pub fn expires_s(&self) -> u64 {
        self.expires_s
    }

    pub(super) fn server_config(&self) -> Arc<ServerConfig> {
        self.server.clone()
    }

    /// For one connection to `service`; made anew for each, which is little beside a handshake.
    pub(super) fn client_config(&self, service: Service) -> Result<ClientConfig, rustls::Error> {
        let mut config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(DialledService { check: self.check.clone(), service }))
            .with_client_cert_resolver(self.own.clone());
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.enable_sni = false;
        // A resumed session would not look at the certificates again.
        config.resumption = Resumption::disabled();
        Ok(config)
    }
}

fn server_config(
    provider: Arc<CryptoProvider>,
    check: Arc<Check>,
    own: Arc<SingleCertAndKey>,
) -> Result<Arc<ServerConfig>, CredentialsError> {
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| CredentialsError::Certificate(format!("cannot be served: {error}")))?
        .with_client_cert_verifier(Arc::new(KnownService { check }))
        .with_cert_resolver(own);
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

fn read_authority(region: Region, pem: &[u8]) -> Result<RootCertStore, CredentialsError> {
    let wrong = |what: &str| CredentialsError::Authority(what.to_owned());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| wrong("is not PEM"))?;
        let parsed = EndEntityCert::try_from(&certificate).map_err(|_| wrong("is no certificate"))?;
        let of_another = parsed
            .valid_uri_names()
            .filter_map(region_in)
            .any(|named| named.is_err() || named.is_ok_and(|named| named != region));
        if of_another {
            return Err(wrong("is another region's"));
        }
        roots.add(certificate.clone()).map_err(|_| wrong("is no certificate of an authority"))?;
    }
    if roots.is_empty() {
        return Err(wrong("holds no certificate"));
    }
    Ok(roots)
}

/// The region that an authority's certificate says it is for, if it says one.
pub fn authority_region(pem: &[u8]) -> Option<Region> {
    let certificate = CertificateDer::from_pem_slice(pem).ok()?;
    let parsed = EndEntityCert::try_from(&certificate).ok()?;
    parsed.valid_uri_names().find_map(region_in)?.ok()
}

/// The last second in which the chain is good, by bisection: the verifier says whether, not until when.
fn expiry_of(check: &Check, chain: &[CertificateDer<'static>]) -> u64 {
    let is_good_at = |second: u64| {
        let at = UnixTime::since_unix_epoch(Duration::from_secs(second));
        chain.split_first().is_some_and(|(own, intermediates)| {
            check.judge(own, intermediates, KeyUsage::client_auth(), at).is_ok()
        })
    };
    let (mut good, mut bad) = (UnixTime::now().as_secs(), LAST_SECOND);
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        if is_good_at(middle) { good = middle } else { bad = middle }
    }
    good
}

fn judge_own(name: ServiceName, check: &Check, chain: &[CertificateDer<'_>]) -> Result<(), CredentialsError> {
    let wrong = |what: &str| CredentialsError::Certificate(what.to_owned());
    let (own, intermediates) = chain.split_first().ok_or_else(|| wrong("holds no certificate"))?;
    for usage in [KeyUsage::server_auth(), KeyUsage::client_auth()] {
        let found = check.judge(own, intermediates, usage, UnixTime::now()).map_err(|refusal| {
            wrong(match refusal {
                Refusal::OtherRegion => "is another region's",
                Refusal::OtherAuthority => "was not issued by the authority for both ends of a connection",
                Refusal::Expired => "has expired",
                Refusal::NotYetValid => "is not valid yet",
                _ => "does not hold exactly one name like spiffe://bulkhead/<region>/<service>",
            })
        })?;
        if found.service != name.service {
            return Err(wrong(&format!(
                "is one of {}, not of {}",
                found.service.name(),
                name.service.name()
            )));
        }
    }
    Ok(())
}
