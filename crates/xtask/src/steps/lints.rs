use std::path::Path;

use anyhow::Result;

use crate::program;

pub(super) fn run(root: &Path) -> Result<Vec<String>> {
    let arguments = ["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"];
    program::run(program::cargo().current_dir(root).args(arguments))?;
    Ok(Vec::new())
}
