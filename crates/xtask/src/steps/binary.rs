use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cargo_metadata::MetadataCommand;

use crate::program;

pub(super) fn run(root: &Path) -> Result<Vec<String>> {
    program::run(program::cargo().current_dir(root).args(["build", "--quiet", "--package", "bulkhead"]))?;
    Ok(Vec::new())
}

/// Where [`run`] leaves the binary: the profile of the tests, so nothing is compiled twice.
pub(crate) fn path(root: &Path) -> Result<PathBuf> {
    let metadata = MetadataCommand::new()
        .current_dir(root)
        .no_deps()
        .exec()
        .context("cargo metadata does not say where the target folder is")?;
    Ok(metadata.target_directory.join("debug/bulkhead").into())
}
