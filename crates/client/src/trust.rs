use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::ClientError;

/// Which certificate authorities a client believes.
#[derive(Clone, Debug, Default)]
pub enum Trust {
    /// Those of the operating system.
    #[default]
    System,
    /// Only those in this PEM file, such as the local authority of `bulkhead dev --tls`.
    File(PathBuf),
}

impl Trust {
    /// The TLS configuration for REST and sockets alike. `Invalid` when the file cannot be read or holds none.
    ///
    /// Reads files; call it once and share the answer.
    pub fn client_config(&self) -> Result<Arc<ClientConfig>, ClientError> {
        let mut roots = RootCertStore::empty();
        match self {
            // Certificates that cannot be read or parsed are passed over: a system holds many, most of them unneeded.
            Trust::System => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
            Trust::File(path) => {
                let unusable = |why: String| ClientError::Invalid(format!("{}: {why}", path.display()));
                let certificates =
                    CertificateDer::pem_file_iter(path).map_err(|error| unusable(error.to_string()))?;
                for certificate in certificates {
                    let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
                    roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
                }
                if roots.is_empty() {
                    return Err(unusable("holds no certificate".to_owned()));
                }
            }
        }
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| ClientError::Invalid(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::new(config))
    }
}
