//! The object store: a folder or a bucket, marked with its region.

use std::fs;
use std::ops::Range;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path as FolderPath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bulkhead_model::{Error, ErrorKind, Region, Result};
use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};

use super::bucket::open_bucket;
use super::{FileId, ObjectPlace};

/// How long one call of the object store may take, its repetitions included.
pub(super) const CALL_LIMIT: Duration = Duration::from_secs(30);

/// The object that says which region the store belongs to, and which format it has.
const MARK: &str = "bulkhead-region";

/// First line of the mark.
const FORMAT: &str = "bulkhead objects 1";

/// Segments of one file that are removed at one time.
const REMOVED_TOGETHER: usize = 8;

pub(super) struct Objects {
    store: Arc<dyn ObjectStore>,
    /// The folder, for a store that is one.
    folder: Option<PathBuf>,
}

impl Objects {
    /// Opens the store and checks its mark, or marks a new one.
    pub(super) async fn open(place: &ObjectPlace, region: Region) -> Result<Self> {
        let objects = match place {
            ObjectPlace::Folder(folder) => Self { store: open_folder(folder)?, folder: Some(folder.clone()) },
            ObjectPlace::S3(place) => Self { store: open_bucket(place)?, folder: None },
        };
        objects.check_mark(region).await?;
        Ok(objects)
    }

    /// Writes one segment, whole.
    pub(super) async fn put(&self, file: FileId, segment: u64, sealed: Vec<Bytes>) -> Result<()> {
        let path = segment_path(file, segment);
        let put = self.store.put(&path, PutPayload::from_iter(sealed));
        within(put).await?.map(drop).map_err(|error| failed("put", &error))
    }

    /// A part of a segment; shorter when the segment is.
    pub(super) async fn get(&self, file: FileId, segment: u64, range: Range<u64>) -> Result<Bytes> {
        let path = segment_path(file, segment);
        match within(self.store.get_range(&path, range)).await? {
            Ok(bytes) => Ok(bytes),
            Err(object_store::Error::NotFound { .. }) => Ok(Bytes::new()),
            Err(error) => Err(failed("get", &error)),
        }
    }

    /// Removes every segment of a file, and what an interrupted write of one may have left.
    pub(super) async fn remove(&self, file: FileId) -> Result<()> {
        let path = file_path(file);
        if let Some(folder) = &self.folder {
            let folder = folder.join(path.as_ref());
            // A folder is removed as one: the store hides what an interrupted write leaves in it.
            let removed = tokio::task::spawn_blocking(move || fs::remove_dir_all(folder)).await;
            return match removed {
                Ok(Err(error)) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::warn!(%error, "the objects of an attachment could not be removed");
                    Err(ErrorKind::Unavailable.into())
                }
                Ok(_) => Ok(()),
                Err(_) => Err(ErrorKind::Internal.into()),
            };
        }
        let segments = self.store.list(Some(&path));
        let removing = segments.try_for_each_concurrent(REMOVED_TOGETHER, |segment| async move {
            match self.store.delete(&segment.location).await {
                Err(object_store::Error::NotFound { .. }) => Ok(()),
                outcome => outcome,
            }
        });
        within(removing).await?.map_err(|error| failed("delete", &error))
    }

    async fn check_mark(&self, region: Region) -> Result<()> {
        let path = Path::from(MARK);
        let own = format!("{FORMAT}\n{region}\n");
        if let Some(found) = self.mark(&path).await? {
            return check_mark(&found, &own);
        }
        let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let made = within(self.store.put_opts(&path, own.clone().into_bytes().into(), create)).await?;
        match made {
            // Somebody else may have been faster, perhaps somebody of another region.
            Ok(_)
            | Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                let found = self.mark(&path).await?.unwrap_or_default();
                check_mark(&found, &own)
            }
            Err(error) => Err(failed("put", &error)),
        }
    }

    async fn mark(&self, path: &Path) -> Result<Option<String>> {
        let reading = async { self.store.get(path).await?.bytes().await };
        match within(reading).await? {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed("get", &error)),
        }
    }
}

fn check_mark(found: &str, own: &str) -> Result<()> {
    if found == own {
        return Ok(());
    }
    let mut lines = found.lines();
    let error = match (lines.next(), lines.next().map(str::parse::<Region>)) {
        (Some(FORMAT), Some(Ok(other))) => {
            format!("storage.objects: the object store belongs to region {other}")
        }
        _ => format!("storage.objects: the object {MARK} there is not one that this version understands"),
    };
    Err(ErrorKind::InvalidArgument.with(error))
}

fn open_folder(folder: &FolderPath) -> Result<Arc<dyn ObjectStore>> {
    let cannot = |error: &dyn std::fmt::Display| {
        ErrorKind::Unavailable.with(format!("storage.objects: {}: {error}", folder.display()))
    };
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| cannot(&error))?;
    let store = LocalFileSystem::new_with_prefix(folder).map_err(|error| cannot(&error))?;
    Ok(Arc::new(store.with_fsync(true)))
}

/// The folder of a file's segments. The two digits keep folders of a file system small.
fn file_path(file: FileId) -> Path {
    let uuid = hex::encode(file.uuid);
    Path::from(format!("attachments/{}/{}/{uuid}", hex::encode(file.app.0), &uuid[..2]))
}

fn segment_path(file: FileId, segment: u64) -> Path {
    file_path(file).join(format!("{segment:05}"))
}

async fn within<T>(call: impl Future<Output = T>) -> Result<T> {
    tokio::time::timeout(CALL_LIMIT, call).await.map_err(|_| ErrorKind::Timeout.into())
}

/// What the object store says is for the log; it names objects, not what is in them.
fn failed(call: &'static str, error: &object_store::Error) -> Error {
    tracing::warn!(%error, call, "the object store did not do as asked");
    metrics::counter!("bulkhead_storage_object_failures_total", "call" => call).increment(1);
    ErrorKind::Unavailable.with("the object store does not answer")
}
