//! Who a node is to the other services: `[identity]`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::Deserialize;

use super::Role;
use super::check::Check;
use crate::identity::IdentityFiles;

/// How the node is known to the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityConfig {
    /// By a certificate.
    Files(IdentityFiles),
    /// Not at all; only loopback addresses are used.
    Insecure,
}

/// The values as they stand in the files.
#[derive(Deserialize)]
pub(super) struct RawIdentity {
    ca_file: String,
    certificate_file: String,
    key_file: String,
    pub(super) insecure: bool,
}

impl Check<'_> {
    /// Every role has certificates, or nothing of it leaves the machine.
    pub(super) fn identity(
        &mut self,
        role: Role,
        raw: RawIdentity,
        listen: Option<SocketAddr>,
    ) -> Option<IdentityConfig> {
        let settings = [
            ("identity.ca_file", raw.ca_file.as_str()),
            ("identity.certificate_file", raw.certificate_file.as_str()),
            ("identity.key_file", raw.key_file.as_str()),
        ];
        if raw.insecure {
            if settings.iter().any(|(_, file)| !file.is_empty()) {
                self.problem("identity.insecure", "is set beside certificates; set one of them");
            }
            // What a gateway listens on is for clients.
            if role != Role::Gateway && listen.is_some_and(|listen| !listen.ip().is_loopback()) {
                let wrong = "must be a loopback address as long as identity.insecure is set";
                self.problem(&format!("{}.listen", role.name()), wrong);
            }
            return Some(IdentityConfig::Insecure);
        }
        let mut complete = true;
        for (setting, file) in settings {
            if file.is_empty() {
                complete = false;
                self.problem(setting, "must be set; bulkhead admin ca makes certificates");
            }
        }
        complete.then(|| {
            IdentityConfig::Files(IdentityFiles {
                authority: PathBuf::from(&raw.ca_file),
                certificate: PathBuf::from(&raw.certificate_file),
                key: PathBuf::from(&raw.key_file),
            })
        })
    }

    /// The addresses of a service: one or several with commas between them, over TLS exactly when there are certificates.
    pub(super) fn service_addresses(&mut self, key: &str, addresses: &str, insecure: bool) {
        match bulkhead_rpc::read_addresses(addresses, insecure) {
            Err(_) => {
                let scheme = if insecure { "http" } else { "https" };
                let reason = if insecure { "identity.insecure is set" } else { "services meet over TLS" };
                self.problem(key, &format!("must have the form {scheme}://host:port, because {reason}"));
            }
            Ok(hosts) if insecure && !hosts.iter().all(|(host, _)| is_loopback(host)) => {
                self.problem(key, "must be a loopback address as long as identity.insecure is set");
            }
            Ok(_) => {}
        }
    }
}

/// A name other than `localhost` is looked up when it is dialled, and refused there if it leads away.
pub(super) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
