use std::path::Path;

use anyhow::Result;

use crate::program;

pub(super) fn run(root: &Path) -> Result<Vec<String>> {
    program::run(program::cargo().current_dir(root).args(["fmt", "--all", "--check"]))?;
    Ok(Vec::new())
}
