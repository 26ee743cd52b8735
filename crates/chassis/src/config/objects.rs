//! Where attachments are kept: `[storage.objects]`.

use std::path::{Path, PathBuf};

use bulkhead_model::Region;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::Role;
use super::check::{Check, is_web_address};

/// Longest time that an attachment can be kept, in days (ten years).
const RETENTION_DAYS_MAX: u32 = 3650;

/// The object store of the storage service.
pub struct ObjectsConfig {
    pub place: ObjectsPlace,
    /// 0 for as long as the app's plan keeps messages.
    pub retention_days: u32,
    pub uploads_max: usize,
}

/// A folder of this machine or a bucket.
pub enum ObjectsPlace {
    Folder(PathBuf),
    S3 {
        endpoint: String,
        bucket: String,
        signing_region: String,
        access_key: String,
        secret_key: SecretKeySource,
    },
}

/// Where the secret of the object store's key comes from.
pub enum SecretKeySource {
    File(PathBuf),
    Environment(Zeroizing<String>),
}

/// The values as they stand in the files.
#[derive(Deserialize)]
pub(super) struct RawObjects {
    kind: String,
    folder: String,
    endpoint: String,
    region: String,
    bucket: String,
    signing_region: String,
    access_key: String,
    secret_key_file: String,
    secret_key: String,
    retention_days: u32,
    uploads_max: usize,
}

impl Check<'_> {
    /// The object store is an endpoint like any other: it states its region, and it is the node's.
    pub(super) fn objects(
        &mut self,
        role: Role,
        own: Option<Region>,
        raw: RawObjects,
        data_dir: &str,
    ) -> Option<ObjectsConfig> {
        if !raw.endpoint.is_empty() {
            self.object_region(own, &raw.region);
        }
        if role != Role::Storage {
            return None;
        }
        let (retention_days, uploads_max) = (raw.retention_days, raw.uploads_max);
        if retention_days > RETENTION_DAYS_MAX {
            self.problem("storage.objects.retention_days", "must be at most 3650");
        }
        if uploads_max == 0 {
            self.problem("storage.objects.uploads_max", "must be above 0");
        }
        let place = match raw.kind.as_str() {
            "folder" if raw.folder.is_empty() => ObjectsPlace::Folder(Path::new(data_dir).join("objects")),
            "folder" => ObjectsPlace::Folder(PathBuf::from(raw.folder)),
            "s3" => self.bucket(raw)?,
            _ => {
                self.problem("storage.objects.kind", "must be \"folder\" or \"s3\"");
                return None;
            }
        };
        Some(ObjectsConfig { place, retention_days, uploads_max })
    }

    fn bucket(&mut self, raw: RawObjects) -> Option<ObjectsPlace> {
        if raw.endpoint.is_empty() {
            self.problem("storage.objects.endpoint", "must be set for an S3-compatible store");
        } else if !is_web_address(&raw.endpoint) {
            let wrong = "must have the form https://host without a slash at the end";
            self.problem("storage.objects.endpoint", wrong);
        }
        let needed = [
            ("bucket", &raw.bucket),
            ("signing_region", &raw.signing_region),
            ("access_key", &raw.access_key),
        ];
        for (key, value) in needed {
            if value.is_empty() {
                self.problem(&format!("storage.objects.{key}"), "must be set for an S3-compatible store");
            }
        }
        let secret_key = match (raw.secret_key_file.as_str(), raw.secret_key.as_str()) {
            ("", "") => {
                let wrong = "must be set, or the secret itself by BULKHEAD_STORAGE__OBJECTS__SECRET_KEY";
                self.problem("storage.objects.secret_key_file", wrong);
                return None;
            }
            (file, "") => SecretKeySource::File(PathBuf::from(file)),
            ("", _) => SecretKeySource::Environment(Zeroizing::new(raw.secret_key)),
            _ => {
                let wrong = "is set beside storage.objects.secret_key_file; set one of them";
                self.problem("storage.objects.secret_key", wrong);
                return None;
            }
        };
        Some(ObjectsPlace::S3 {
            endpoint: raw.endpoint,
            bucket: raw.bucket,
            signing_region: raw.signing_region,
            access_key: raw.access_key,
            secret_key,
        })
    }

    fn object_region(&mut self, own: Option<Region>, stated: &str) {
        let key = "storage.objects.region";
        match stated.parse::<Region>() {
            Err(_) => self.problem(key, "must state the region of the endpoint"),
            Ok(stated) if own.is_some_and(|own| own != stated) => {
                self.problem(key, "is another region than this node's");
            }
            Ok(_) => {}
        }
    }
}
