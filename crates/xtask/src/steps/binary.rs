//! The binary under test.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cargo_metadata::MetadataCommand;

/// Where the build of the tests leaves the binary that they start, so nothing is compiled twice.
pub(crate) fn path(root: &Path) -> Result<PathBuf> {
    let metadata = MetadataCommand::new()
        .current_dir(root)
        .no_deps()
        .exec()
        .context("cargo metadata does not say where the target folder is")?;
    Ok(metadata.target_directory.join("debug/bulkhead").into())
}
