use std::time::Duration;

use bulkhead_rpc::Identity;
use bulkhead_rpc::identity::{Credentials, ServiceName};

use super::{IdentityFiles, Texts};

/// How often the files are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Takes new certificates into use while the process runs.
pub struct Reloader {
    identity: Identity,
    files: IdentityFiles,
    name: ServiceName,
    /// What is in use.
    used: Texts,
    /// What was refused last, so that it is said once.
    refused: Option<Texts>,
    /// Why the files could not be read the last time.
    unreadable: Option<String>,
}

/// What a look at the files has led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// They hold what is in use, or what was refused before.
    Unchanged,
    /// The next handshake uses them.
    Replaced,
    /// They do not serve; what was in use stays. With the reason.
    Kept(String),
}

impl Reloader {
    pub(super) fn new(identity: Identity, files: IdentityFiles, name: ServiceName, used: Texts) -> Self {
        Self { identity, files, name, used, refused: None, unreadable: None }
    }

    /// Looks every few seconds, for ever.
    pub async fn run(mut self) {
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            let Ok((reloader, look)) = tokio::task::spawn_blocking(move || {
                let look = self.look();
                (self, look)
            })
            .await
            else {
                return;
            };
            self = reloader;
            let outcome = match look {
                Look::Unchanged => continue,
                Look::Replaced => {
                    tracing::info!("a new certificate is in use");
                    "replaced"
                }
                Look::Kept(reason) => {
                    tracing::error!(reason, "a new certificate is not taken; the one before stays in use");
                    "kept"
                }
            };
            metrics::counter!("bulkhead_identity_reloads_total", "outcome" => outcome).increment(1);
        }
    }

    /// Looks once. The contents count and not their times: a copy may keep them, and a mounted folder has its own.
    pub fn look(&mut self) -> Look {
        let texts = match Texts::read(&self.files) {
            Ok(texts) => texts,
            Err(error) => {
                let reason = error.to_string();
                if self.unreadable.as_ref() == Some(&reason) {
                    return Look::Unchanged;
                }
                self.unreadable = Some(reason.clone());
                return Look::Kept(reason);
            }
        };
        self.unreadable = None;
        if texts == self.used || self.refused.as_ref() == Some(&texts) {
            return Look::Unchanged;
        }
        match texts.credentials(&self.files, self.name) {
            Ok(credentials) => {
                show_expiry(&credentials);
                self.identity.replace(credentials);
                self.used = texts;
                self.refused = None;
                Look::Replaced
            }
            Err(error) => {
                self.refused = Some(texts);
                Look::Kept(error.to_string())
            }
        }
    }
}

/// For an alert before it is too late.
pub(super) fn show_expiry(credentials: &Credentials) {
    let expires_s = credentials.expires_s();
    metrics::gauge!("bulkhead_identity_expires_timestamp_seconds").set(expires_s as f64);
    tracing::info!(name = %credentials.name(), expires_s, "the identity of this node");
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use bulkhead_model::{Clock, Region};
    use bulkhead_rpc::Service;

    use super::*;
    use crate::SystemClock;
    use crate::identity::{Authority, Order, load};

    const NAME: ServiceName = ServiceName { region: Region::Singapore, service: Service::Router };

    fn order(service: Service) -> Order {
        Order { service, now_ms: SystemClock.now_ms(), life_ms: 3_600_000, hosts: vec![], addresses: vec![] }
    }

    fn copy(from: &IdentityFiles, to: &IdentityFiles) {
        fs::copy(&from.authority, &to.authority).unwrap();
        fs::copy(&from.certificate, &to.certificate).unwrap();
        fs::copy(&from.key, &to.key).unwrap();
    }

    fn authority(folder: &Path, region: Region) -> Authority {
        Authority::make(folder, region, SystemClock.now_ms()).unwrap()
    }

    #[test]
    fn new_files_are_taken_and_bad_ones_leave_the_old_in_use_and_are_said_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let first = authority(&path("first"), Region::Singapore);
        let files = first.issue(&order(Service::Router), &path("used"), false).unwrap().files;
        let (identity, mut reloader) = load(files.clone(), NAME).unwrap();
        assert!(!identity.is_insecure());
        assert_eq!(reloader.look(), Look::Unchanged);

        let renewed = first.issue(&order(Service::Router), &path("renewed"), false).unwrap().files;
        copy(&renewed, &files);
        assert_eq!(reloader.look(), Look::Replaced);
        assert_eq!(reloader.look(), Look::Unchanged);

        let second = authority(&path("second"), Region::Singapore);
        let of_second = second.issue(&order(Service::Router), &path("of-second"), false).unwrap().files;
        let foreign = authority(&path("third"), Region::Virginia);
        let foreign = foreign.issue(&order(Service::Router), &path("foreign"), false).unwrap().files;
        let gateway = first.issue(&order(Service::Gateway), &path("gateway"), false).unwrap().files;
        for (bad, said) in [
            (&foreign, "identity.ca_file: "),
            (&gateway, "identity.certificate_file: "),
            (
                &IdentityFiles { authority: files.authority.clone(), ..of_second.clone() },
                "identity.certificate_file: ",
            ),
            (&IdentityFiles { key: of_second.key.clone(), ..renewed.clone() }, "identity.key_file: "),
        ] {
            copy(&renewed, &files);
            assert_eq!(reloader.look(), Look::Unchanged);
            copy_what_differs(bad, &files);
            let Look::Kept(reason) = reloader.look() else { panic!("{said}") };
            assert!(reason.starts_with(said), "{reason}");
            assert_eq!(reloader.look(), Look::Unchanged, "it is said once");
        }
        fs::remove_file(&files.certificate).unwrap();
        assert!(matches!(reloader.look(), Look::Kept(_)));
        assert_eq!(reloader.look(), Look::Unchanged);
        copy(&of_second, &files);
        assert_eq!(reloader.look(), Look::Replaced, "another authority of the same region");
    }

    fn copy_what_differs(from: &IdentityFiles, to: &IdentityFiles) {
        for (from, to) in
            [(&from.authority, &to.authority), (&from.certificate, &to.certificate), (&from.key, &to.key)]
        {
            if from != to {
                fs::copy(from, to).unwrap();
            }
        }
    }
}
