//! The mark of a data folder: which region it belongs to and which format it has.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use bulkhead_model::Region;
use serde::{Deserialize, Serialize};

/// The format that this version writes; a folder of a later one is refused.
const FORMAT_VERSION: u32 = 1;

const FILE: &str = "bulkhead.json";

/// Where the engine keeps its trees, beside the mark.
pub(crate) const TREES_FOLDER: &str = "rows";

/// Why a data folder could not be opened; each text is one line for an operator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be made, read or written.
    #[error("data folder {path}: {source}")]
    Io { path: String, source: io::Error },
    /// Another process has it open.
    #[error("data folder {path} is in use by another process")]
    InUse { path: String },
    /// It belongs to another region.
    #[error("data folder {path} belongs to region {found}, not to {wanted}")]
    WrongRegion { path: String, found: String, wanted: Region },
    /// A later version wrote it.
    #[error("data folder {path} has format {found}; this version reads up to {FORMAT_VERSION}")]
    NewerFormat { path: String, found: u32 },
    /// It is there and not what was written.
    #[error("data folder {path} is damaged: {detail}")]
    Damaged { path: String, detail: String },
}

/// The part that every format has.
#[derive(Deserialize)]
struct Format {
    format_version: u32,
}

#[derive(Serialize, Deserialize)]
struct Mark {
    format_version: u32,
    region: String,
    /// Unix milliseconds, for people.
    created_ms: u64,
}

/// Checks the folder's mark, or makes folder and mark when there is none.
pub(crate) fn check_or_make(path: &Path, region: Region, now_ms: u64) -> Result<(), OpenError> {
    let shown = || path.display().to_string();
    let io = |source| OpenError::Io { path: shown(), source };
    fs::create_dir_all(path).map_err(io)?;
    let file = path.join(FILE);
    match fs::read(&file) {
        Ok(bytes) => {
            let damaged = |error| OpenError::Damaged { path: shown(), detail: format!("{FILE}: {error}") };
            let format: Format = serde_json::from_slice(&bytes).map_err(damaged)?;
            if format.format_version > FORMAT_VERSION {
                return Err(OpenError::NewerFormat { path: shown(), found: format.format_version });
            }
            let mark: Mark = serde_json::from_slice(&bytes).map_err(damaged)?;
            if mark.region != region.name() {
                return Err(OpenError::WrongRegion { path: shown(), found: mark.region, wanted: region });
            }
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if path.join(TREES_FOLDER).exists() {
                // Whose rows they are is not for this process to guess.
                return Err(OpenError::Damaged { path: shown(), detail: format!("{FILE} is missing") });
            }
            let mark =
                Mark { format_version: FORMAT_VERSION, region: region.name().to_owned(), created_ms: now_ms };
            let text = serde_json::to_vec(&mark).map_err(|error| io(error.into()))?;
            write_durably(&file, &text).map_err(io)
        }
        Err(error) => Err(io(error)),
    }
}

/// Writes beside the target and renames, so that a crash leaves the old file or the new one.
fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = fs::File::create(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    fs::File::open(path)?.sync_all()
}
