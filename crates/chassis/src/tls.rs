//! TLS for clients: certificates from files, or from a local authority that `bulkhead dev` makes.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

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

/// A server configuration: TLS 1.2 and 1.3, session tickets, HTTP/2 and HTTP/1.1. The key file must be private.
pub fn server_config(files: &TlsFiles) -> Result<Arc<ServerConfig>, StartError> {
    install_provider();
    let wrong = |path: &Path, what: &str| StartError::Usage(format!("{}: {what}", path.display()));
    let chain = fs::read(&files.certificate).map_err(|error| StartError::file(&files.certificate, &error))?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&chain)
        .collect::<Result<_, _>>()
        .map_err(|_| wrong(&files.certificate, "not a PEM certificate"))?;
    let key = PrivateKeyDer::from_pem_slice(&read_private(&files.key)?)
        .map_err(|_| wrong(&files.key, "not a PEM private key"))?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| wrong(&files.certificate, &format!("certificate and key do not serve: {error}")))?;
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()
        .map_err(|error| StartError::Io(format!("TLS session tickets: {error}")))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
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

    #[test]
    fn the_local_authority_stays_and_its_certificates_serve() {
        let folder = tempfile::tempdir().unwrap();
        let address = "127.0.0.1".parse().unwrap();
        let files = local_certificate(folder.path(), address).unwrap();
        let authority = fs::read(local_authority_file(folder.path())).unwrap();
        server_config(&files).unwrap();
        let again = local_certificate(folder.path(), address).unwrap();
        assert_eq!(fs::read(local_authority_file(folder.path())).unwrap(), authority);
        server_config(&again).unwrap();
    }

    #[test]
    fn a_certificate_without_its_key_is_refused_with_the_name_of_the_file() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let address = "127.0.0.1".parse().unwrap();
        let mut files = local_certificate(one.path(), address).unwrap();
        files.key = local_certificate(other.path(), address).unwrap().key;
        let error = server_config(&files).unwrap_err();
        assert_eq!(error.code(), 64);
        assert!(error.to_string().contains("server.pem"), "{error}");
        files.key = one.path().join("none");
        assert_eq!(server_config(&files).unwrap_err().code(), 74);
    }
}
