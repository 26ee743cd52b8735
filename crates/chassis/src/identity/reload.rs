use bulkhead_rpc::Identity;
use bulkhead_rpc::identity::{Credentials, ServiceName};

use super::{IdentityFiles, Texts};
use crate::StartError;
use crate::reload::Source;

/// A node's identity and the files that it comes from. The next handshake uses what is new.
pub struct IdentitySource {
    pub(super) identity: Identity,
    pub(super) files: IdentityFiles,
    pub(super) name: ServiceName,
}

impl Source for IdentitySource {
    type Texts = Texts;

    const COUNTER: &'static str = "bulkhead_identity_reloads_total";

    fn read(&self) -> Result<Texts, StartError> {
        Texts::read(&self.files)
    }

    fn replace(&mut self, texts: &Texts) -> Result<(), StartError> {
        let credentials = texts.credentials(&self.files, self.name)?;
        show_expiry(&credentials);
        self.identity.replace(credentials);
        Ok(())
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
    use crate::reload::Look;

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
