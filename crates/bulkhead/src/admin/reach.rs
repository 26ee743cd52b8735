use std::path::Path;
use std::sync::Arc;

use bulkhead_api::AuthApi;
use bulkhead_auth::AuthSettings;
use bulkhead_chassis::identity::{IdentityFiles, load};
use bulkhead_chassis::{OsEntropy, SystemClock, region_key};
use bulkhead_rpc::identity::ServiceName;
use bulkhead_rpc::{AuthClient, Identity, Service, connect};

use super::ReachArguments;
use crate::Failure;
use crate::compose::{REGION_KEY_FILE, StorageInProcess, start_auth};

/// The auth service that a command talks to: a running one, or one on the folder of a region that does not run.
pub(super) struct Reached {
    pub(super) auth: Arc<dyn AuthApi>,
    /// Of the folder.
    pub(super) storage: Option<StorageInProcess>,
}

impl Reached {
    /// Connects, or opens the folder.
    pub(super) async fn open(arguments: &ReachArguments) -> Result<Self, Failure> {
        if let Some(url) = &arguments.auth {
            let identity = identity(arguments)?;
            let peer =
                connect(&identity, Service::Auth, url).map_err(|error| Failure::usage(error.to_string()))?;
            return Ok(Self { auth: Arc::new(AuthClient::new(peer)), storage: None });
        }
        // `dev --regions all` keeps each region in a folder of its own.
        let own_folder = arguments.data_dir.join(arguments.region.name());
        let holds_region = |folder: &Path| folder.join(REGION_KEY_FILE).exists();
        let folder = if holds_region(&own_folder) { own_folder } else { arguments.data_dir.clone() };
        if !holds_region(&folder) {
            return Err(Failure::usage(format!(
                "{} keeps no region; name a data folder with --data-dir or a running region with --auth",
                folder.display()
            )));
        }
        let key = region_key::from_file(&folder.join(REGION_KEY_FILE))?;
        let (clock, entropy) = (Arc::new(SystemClock), Arc::new(OsEntropy));
        let storage =
            StorageInProcess::open(arguments.region, &folder, key, clock.clone(), entropy.clone()).await?;
        let auth =
            start_auth(arguments.region, storage.store.clone(), clock, entropy, AuthSettings::default());
        Ok(Self { auth, storage: Some(storage) })
    }

    /// Lets go of the folder.
    pub(super) async fn close(self) {
        drop(self.auth);
        if let Some(storage) = self.storage {
            storage.close().await;
        }
    }
}

/// Who this command line is.
pub(super) fn identity(arguments: &ReachArguments) -> Result<Identity, Failure> {
    let files = (&arguments.ca_file, &arguments.certificate_file, &arguments.key_file);
    match files {
        (None, None, None) => Ok(Identity::insecure(arguments.region)),
        (Some(authority), Some(certificate), Some(key)) => {
            let files = IdentityFiles {
                authority: authority.clone(),
                certificate: certificate.clone(),
                key: key.clone(),
            };
            let name = ServiceName { region: arguments.region, service: Service::Console };
            Ok(load(files, name)?.0)
        }
        _ => Err(Failure::usage("--ca-file, --certificate-file and --key-file belong together")),
    }
}
