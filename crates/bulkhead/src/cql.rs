//! From the configuration of a database to the engine's settings, and from its refusals to exit codes.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use bulkhead_chassis::config::{CqlConfig, PasswordSource};
use bulkhead_chassis::residency::{DialledAddress, DialledSource};
use bulkhead_chassis::{StartError, read_private_text, tls};
use bulkhead_model::Region;
use bulkhead_store_cql::{CqlSettings, CqlStore, Credentials, OpenError};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::Failure;

/// Reads what the configuration names: the password and the authority of the database.
pub(crate) fn settings(region: Region, config: CqlConfig) -> Result<CqlSettings, Failure> {
    let credentials = config
        .user
        .map(|(user, password)| Ok::<_, Failure>(Credentials { user, password: password_of(password)? }));
    Ok(CqlSettings {
        region,
        contact_points: config.contact_points,
        keyspace: config.keyspace,
        data_center: config.data_center,
        credentials: credentials.transpose()?,
        tls: config.tls_ca_file.as_deref().map(tls_to).transpose()?,
        call_timeout: config.call_timeout,
    })
}

/// What the residency report says of the database: its nodes, whose keyspace carries the region's mark.
pub(crate) fn dialled(region: Region, keyspace: Arc<CqlStore>) -> DialledSource {
    Box::new(move || {
        let dialled = keyspace.nodes().into_iter().map(|(address, is_connected)| DialledAddress {
            service: "database".to_owned(),
            address: address.to_string(),
            proven_region: Some(region.name().to_owned()),
            connected: is_connected.into(),
            failed: 0,
            refused: None,
        });
        dialled.collect()
    })
}

/// What does not fit is 64, what does not answer is 74; the text names the setting.
pub(crate) fn failure(error: &OpenError) -> Failure {
    let told = |setting: &str| format!("storage.cql{setting}: {error}");
    match error {
        OpenError::Unreachable { .. } => Failure::io(told(".contact_points")),
        OpenError::Refused { .. } => Failure::io(told("")),
        OpenError::WrongDataCenter { .. } => Failure::usage(told(".data_center")),
        OpenError::Settings { .. } => Failure::usage(told("")),
        OpenError::WrongReplication { .. }
        | OpenError::WrongRegion { .. }
        | OpenError::NotMigrated { .. }
        | OpenError::NewerSchema { .. }
        | OpenError::NoMark { .. } => Failure::usage(told(".keyspace")),
    }
}

fn password_of(source: PasswordSource) -> Result<String, Failure> {
    match source {
        PasswordSource::Environment(password) => Ok(password.to_string()),
        PasswordSource::File(path) => Ok(read_private_text(&path)?.to_string()),
    }
}

/// TLS to nodes whose certificates are from one authority; a node is known by its address.
fn tls_to(authority: &Path) -> Result<Arc<ClientConfig>, Failure> {
    tls::install_provider();
    let wrong = || Failure::usage(format!("{}: not a PEM certificate", authority.display()));
    let pem = fs::read(authority).map_err(|error| StartError::file(authority, &error))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        roots.add(certificate.map_err(|_| wrong())?).map_err(|_| wrong())?;
    }
    if roots.is_empty() {
        return Err(wrong());
    }
    Ok(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
}
