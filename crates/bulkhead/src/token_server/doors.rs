//! Where callers come in: a socket file, a loopback address, or any address over mutual TLS.

use std::fs::{self, Permissions};
use std::io::ErrorKind as IoErrorKind;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bulkhead_chassis::config::{TokenServerListen, TokenServerTlsFiles};
use bulkhead_chassis::{StartError, read_private};
use bulkhead_token_server::{Listener, MutualTls, MutualTlsTexts};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use zeroize::Zeroizing;

use super::certificates::LOOK_INTERVAL;
use crate::Failure;
use crate::listen::{address_of, listen};

const LISTEN: &str = "token_server.listen";

/// The socket file is for the user and the group of this process.
const SOCKET_MODE: u32 = 0o660;

/// An open listener.
pub(super) struct Doors {
    pub(super) listener: Listener,
    /// For people; the port is the real one.
    pub(super) address: String,
    pub(super) socket_file: Option<SocketFile>,
}

/// Removes the file of a socket at the end.
pub(super) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // One that is left is replaced at the next start.
        let _ = fs::remove_file(&self.0);
    }
}

impl Doors {
    pub(super) async fn open(listen_at: &TokenServerListen) -> Result<Self, Failure> {
        match listen_at {
            TokenServerListen::Unix(path) => {
                let listener = listen_at_file(path).await?;
                Ok(Self {
                    listener: Listener::Unix(listener),
                    address: path.display().to_string(),
                    socket_file: Some(SocketFile(path.clone())),
                })
            }
            TokenServerListen::Loopback(address) => {
                let listener = listen(*address, LISTEN).await?;
                let address = address_of(&listener)?.to_string();
                Ok(Self { listener: Listener::Loopback(listener), address, socket_file: None })
            }
            TokenServerListen::Mutual { address, files, client_names } => {
                let texts = Texts::read(files)?;
                let (sender, newest) = watch::channel(Arc::new(texts.mutual_tls(client_names)?));
                let listener = listen(*address, LISTEN).await?;
                let address = address_of(&listener)?.to_string();
                tokio::spawn(watch_files(files.clone(), client_names.clone(), texts, sender));
                Ok(Self { listener: Listener::Mutual(listener, newest), address, socket_file: None })
            }
        }
    }
}

/// Listens at a path. A socket file that nobody listens at is what a killed process left.
async fn listen_at_file(path: &Path) -> Result<UnixListener, Failure> {
    let failed = |error| Failure::from(StartError::file(path, &error)).of_setting(LISTEN);
    if fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == IoErrorKind::ConnectionRefused => {
                fs::remove_file(path).map_err(failed)?;
            }
            _ => {
                return Err(Failure::io(format!(
                    "{LISTEN}: {} is in use by another process",
                    path.display()
                )));
            }
        }
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE)).map_err(failed)?;
    Ok(listener)
}

/// What the files of mutual TLS hold.
#[derive(PartialEq, Eq)]
struct Texts {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
    client_authority: Vec<u8>,
}

impl Texts {
    fn read(files: &TokenServerTlsFiles) -> Result<Self, Failure> {
        let text = |path: &Path, setting| {
            fs::read(path).map_err(|error| Failure::from(StartError::file(path, &error)).of_setting(setting))
        };
        let key = read_private(&files.own.key)
            .map_err(|error| Failure::from(error).of_setting("token_server.tls_key_file"))?;
        Ok(Self {
            certificate: text(&files.own.certificate, "token_server.tls_certificate_file")?,
            key,
            client_authority: text(&files.client_authority, "token_server.client_ca_file")?,
        })
    }

    fn mutual_tls(&self, client_names: &[String]) -> Result<MutualTls, Failure> {
        let texts = MutualTlsTexts {
            certificate: &self.certificate,
            key: &self.key,
            client_authority: &self.client_authority,
        };
        MutualTls::read(&texts, client_names)
            .map_err(|error| Failure::usage(format!("token_server.tls_certificate_file: {error}")))
    }
}

/// Looks at the files every few seconds, for as long as anybody listens.
async fn watch_files(
    files: TokenServerTlsFiles,
    client_names: Vec<String>,
    mut used: Texts,
    newest: watch::Sender<Arc<MutualTls>>,
) {
    let mut refused = None;
    while !newest.is_closed() {
        tokio::time::sleep(LOOK_INTERVAL).await;
        let looked_at = files.clone();
        let Ok(found) = tokio::task::spawn_blocking(move || Texts::read(&looked_at)).await else { return };
        let read = match found {
            Ok(texts) if texts == used => {
                refused = None;
                continue;
            }
            Ok(texts) => texts.mutual_tls(&client_names).map(|tls| (texts, tls)),
            Err(failure) => Err(failure),
        };
        match read {
            Ok((texts, tls)) => {
                tracing::info!("new certificates of mutual TLS are in use");
                newest.send_replace(Arc::new(tls));
                used = texts;
                refused = None;
            }
            Err(failure) => {
                let reason = failure.to_string();
                if refused.as_ref() != Some(&reason) {
                    tracing::error!(
                        reason,
                        "certificates of mutual TLS are not taken; those before stay in use"
                    );
                    refused = Some(reason);
                }
            }
        }
    }
}
