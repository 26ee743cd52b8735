//! The files with the App Certificates, looked at again while the process runs.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bulkhead_chassis::config::TokenServerConfig;
use bulkhead_chassis::read_private_text;
use bulkhead_token_server::{AppCertificates, Signer};

use crate::Failure;

/// How often files are looked at.
pub(super) const LOOK_INTERVAL: Duration = Duration::from_secs(5);

const PRIMARY: &str = "token_server.app_certificate_file";
const SECONDARY: &str = "token_server.app_certificate_secondary_file";

/// The files, and what is in use of them.
pub(super) struct CertificateFiles {
    primary: PathBuf,
    secondary: Option<PathBuf>,
    used: Option<AppCertificates>,
    /// Why the files were not taken the last time, so that it is said once.
    refused: Option<String>,
}

impl CertificateFiles {
    pub(super) fn of(config: &TokenServerConfig) -> Self {
        Self {
            primary: config.app_certificate_file.clone(),
            secondary: config.app_certificate_secondary_file.clone(),
            used: None,
            refused: None,
        }
    }

    /// What they hold at the start.
    pub(super) fn first(&mut self) -> Result<AppCertificates, Failure> {
        let certificates = self.read()?;
        self.used = Some(certificates.clone());
        Ok(certificates)
    }

    /// Looks every few seconds, for ever, and has the signer use what is new and right.
    pub(super) async fn watch(mut self, signer: Arc<Signer>) {
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            let Ok((files, found)) = tokio::task::spawn_blocking(move || {
                let found = self.read();
                (self, found)
            })
            .await
            else {
                return;
            };
            self = files;
            match found {
                Ok(certificates) => {
                    self.refused = None;
                    if self.used.as_ref() != Some(&certificates) {
                        tracing::info!("a new app certificate is in use");
                        signer.replace(&certificates);
                        self.used = Some(certificates);
                    }
                }
                Err(failure) => {
                    let reason = failure.to_string();
                    if self.refused.as_ref() != Some(&reason) {
                        tracing::error!(
                            reason,
                            "an app certificate is not taken; the one before stays in use"
                        );
                        self.refused = Some(reason);
                    }
                }
            }
        }
    }

    fn read(&self) -> Result<AppCertificates, Failure> {
        let read = |path: &PathBuf, setting| {
            read_private_text(path).map_err(|error| Failure::from(error).of_setting(setting))
        };
        let primary = read(&self.primary, PRIMARY)?;
        let secondary = self.secondary.as_ref().map(|path| read(path, SECONDARY)).transpose()?;
        AppCertificates::new(primary, secondary)
            .map_err(|error| Failure::usage(error.to_string()).of_setting(PRIMARY))
    }
}
