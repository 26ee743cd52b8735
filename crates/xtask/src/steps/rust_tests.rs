use std::path::Path;

use anyhow::Result;

use crate::program;

/// Compiles what [`run`] runs, and the binary which that and the SDK tests start.
pub(super) fn build(root: &Path) -> Result<Vec<String>> {
    program::run(program::cargo().current_dir(root).args(["test", "--quiet", "--workspace", "--no-run"]))?;
    Ok(Vec::new())
}

pub(super) fn run(root: &Path) -> Result<Vec<String>> {
    let mut command = program::cargo();
    command.current_dir(root).args(["test", "--workspace"]);
    let results = program::run_and_keep(&mut command, |line| line.starts_with("test result:"))?;
    // A test binary without tests has nothing to tell.
    Ok(results.into_iter().filter(|line| !line.contains(" 0 passed; 0 failed")).collect())
}
