//! TLS for clients: certificates from files, or from a local authority that `bulkhead dev` makes.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use crate::identity::read as read_certificates;
use crate::reload::{Reloader, Source};
use crate::{StartError, read_private, write_private};

/// PEM files of a server: its chain and its private key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Makes aws-lc-rs the process's provider of cryptography for TLS. Repeating it does no harm.
pub fn install_provider() {
    // Fails only when a provider is there already, which is this one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// A server configuration: TLS 1.2 and 1.3 with forward secrecy, session tickets, and the protocols that connections may
/// carry (ALPN); and what takes new files into use, from the next handshake on. The key file must be private.
pub fn server_config(
    files: &TlsFiles,
    protocols: &[&[u8]],
) -> Result<(Arc<ServerConfig>, Reloader<ServerCertificate>), StartError> {
    install_provider();
    let texts = Texts::read(files)?;
    let shown = Arc::new(Shown(RwLock::new(texts.certified_key(files)?)));
    let mut config = ServerConfig::builder().with_no_client_auth().with_cert_resolver(shown.clone());
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()
        .map_err(|error| StartError::Io(format!("TLS session tickets: {error}")))?;
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let source = ServerCertificate { shown, files: files.clone() };
    Ok((Arc::new(config), Reloader::new(source, texts)))
}

/// The certificate that clients are shown and the files that it comes from.
pub struct ServerCertificate {
    shown: Arc<Shown>,
    files: TlsFiles,
}

#[derive(Debug)]
struct Shown(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().clone())
    }
}

impl Source for ServerCertificate {
    type Texts = Texts;

    const COUNTER: &'static str = "bulkhead_gateway_certificate_reloads_total";

    fn read(&self) -> Result<Texts, StartError> {
        Texts::read(&self.files)
    }

    fn replace(&mut self, texts: &Texts) -> Result<(), StartError> {
        *self.shown.0.write() = texts.certified_key(&self.files)?;
        Ok(())
    }
}

/// What the files hold.
#[derive(PartialEq, Eq)]
pub struct Texts {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

impl Texts {
    fn read(files: &TlsFiles) -> Result<Self, StartError> {
        Ok(Self { certificate: read_certificates(&files.certificate)?, key: read_private(&files.key)? })
    }

    fn certified_key(&self, files: &TlsFiles) -> Result<Arc<CertifiedKey>, StartError> {
        let wrong = |path: &Path, what: &str| StartError::Usage(format!("{}: {what}", path.display()));
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<_, _>>()
            .map_err(|_| wrong(&files.certificate, "not a PEM certificate"))?;
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|_| wrong(&files.key, "not a PEM private key"))?;
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let key = CertifiedKey::from_der(chain, key, &provider).map_err(|error| {
            wrong(&files.certificate, &format!("certificate and key do not serve: {error}"))
        })?;
        Ok(Arc::new(key))
    }
}

/// The local authority's certificate below `folder`, for clients to trust.
pub fn local_authority_file(folder: &Path) -> PathBuf {
    folder.join("ca.pem")
}

/// A certificate for this machine (`localhost`, both loopback addresses and `address`) from a local authority that is
/// made in `folder` at the first call and stays; ECDSA P-256, keys with mode 0600.
pub fn local_certificate(folder: &Path, address: IpAddr) -> Result<TlsFiles, StartError> {
    fs::create_dir_all(folder).map_err(|error| StartError::file(folder, &error))?;
    let authority = local_authority(folder)?;
    let files = TlsFiles { certificate: folder.join("server.pem"), key: folder.join("server.key") };
    let failed = |error| StartError::Io(format!("{}: cannot make a certificate: {error}", folder.display()));
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).map_err(failed)?;
    let loopback = [IpAddr::from([127, 0, 0, 1]), "::1".parse().unwrap_or(address)];
    params.subject_alt_names.extend(loopback.into_iter().map(SanType::IpAddress));
    if !loopback.contains(&address) && !address.is_unspecified() {
        params.subject_alt_names.push(SanType::IpAddress(address));
    }
    params.distinguished_name.push(DnType::CommonName, "Bulkhead dev server");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
    let certificate = params.signed_by(&key, &authority).map_err(failed)?;
    write_private(&files.certificate, certificate.pem().as_bytes())?;
    write_private(&files.key, key.serialize_pem().as_bytes())?;
    Ok(files)
}

fn local_authority(folder: &Path) -> Result<Issuer<'static, KeyPair>, StartError> {
    let (certificate_file, key_file) = (local_authority_file(folder), folder.join("ca.key"));
    let failed = |error| StartError::Io(format!("{}: cannot make an authority: {error}", folder.display()));
    let params = authority_params().map_err(failed)?;
    let key = if certificate_file.exists() && key_file.exists() {
        let pem = read_private(&key_file)?;
        let pem = std::str::from_utf8(&pem).unwrap_or_default();
        KeyPair::from_pem(pem)
            .map_err(|_| StartError::Usage(format!("{}: not a PEM private key", key_file.display())))?
    } else {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
        let certificate = params.self_signed(&key).map_err(failed)?;
        write_private(&key_file, key.serialize_pem().as_bytes())?;
        write_private(&certificate_file, certificate.pem().as_bytes())?;
        key
    };
    Ok(Issuer::new(params, key))
}

/// The same at every start: with the kept key they are the kept authority.
fn authority_params() -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, "Bulkhead dev authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reload::Look;

    #[test]
    fn the_local_authority_stays_and_its_certificates_serve() {
        let folder = tempfile::tempdir().unwrap();
        let address = "127.0.0.1".parse().unwrap();
        let files = local_certificate(folder.path(), address).unwrap();
        let authority = fs::read(local_authority_file(folder.path())).unwrap();
        server_config(&files, &[]).unwrap();
        let again = local_certificate(folder.path(), address).unwrap();
        assert_eq!(fs::read(local_authority_file(folder.path())).unwrap(), authority);
        server_config(&again, &[]).unwrap();
    }

    #[test]
    fn a_new_certificate_is_shown_and_one_that_does_not_serve_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let address = "127.0.0.1".parse().unwrap();
        let files = local_certificate(folder.path(), address).unwrap();
        let (_, mut reloader) = server_config(&files, &[]).unwrap();
        let shown = |reloader: &Reloader<ServerCertificate>| {
            reloader.source().shown.0.read().end_entity_cert().unwrap().to_vec()
        };
        let first = shown(&reloader);
        local_certificate(folder.path(), address).unwrap();
        assert_eq!(reloader.look(), Look::Replaced);
        let second = shown(&reloader);
        assert_ne!(first, second);
        let other = tempfile::tempdir().unwrap();
        fs::copy(local_certificate(other.path(), address).unwrap().key, &files.key).unwrap();
        assert!(matches!(reloader.look(), Look::Kept(_)));
        assert_eq!(shown(&reloader), second);
    }

    #[test]
    fn every_cipher_suite_has_forward_secrecy() {
        install_provider();
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        for suite in provider.cipher_suites {
            let name = format!("{:?}", suite.suite());
            assert!(name.starts_with("TLS13_") || name.starts_with("TLS_ECDHE_"), "{name}");
        }
    }

    #[test]
    fn a_certificate_without_its_key_is_refused_with_the_name_of_the_file() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let address = "127.0.0.1".parse().unwrap();
        let mut files = local_certificate(one.path(), address).unwrap();
        files.key = local_certificate(other.path(), address).unwrap().key;
        let error = server_config(&files, &[]).err().unwrap();
        assert_eq!(error.code(), 64);
        assert!(error.to_string().contains("server.pem"), "{error}");
        files.key = one.path().join("none");
        assert_eq!(server_config(&files, &[]).err().unwrap().code(), 74);
    }
}
