//! `cargo xtask tidy`: what no compiler checks. Which crate may use which, and the state of the files.

mod files;
mod layers;
mod packages;

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use cargo_metadata::MetadataCommand;

use crate::program;

/// Checks the repository at `root`.
///
/// # Errors
///
/// Every problem found, one line each.
pub(crate) fn run(root: &Path) -> Result<()> {
    let metadata = MetadataCommand::new().current_dir(root).no_deps().exec().context("cargo metadata")?;
    let mut problems = Vec::new();
    problems.extend(layers::check(&layers::edges_of(&metadata)));
    problems.extend(packages::check(&metadata));
    for path in tracked_files(root)? {
        // A file that is deleted but not yet committed, or that is not text, has nothing to check.
        if let Ok(text) = std::fs::read_to_string(root.join(&path)) {
            problems.extend(files::check(&path, &text));
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    bail!("not tidy:\n  {}", problems.join("\n  "));
}

/// Every file that is committed or about to be, relative to the root; a plain folder without git history is walked.
fn tracked_files(root: &Path) -> Result<Vec<String>> {
    let mut git = Command::new("git");
    git.current_dir(root).args(["ls-files", "--cached", "--others", "--exclude-standard"]);
    if let Some(list) = program::answer(&mut git) {
        return Ok(list.lines().map(str::to_owned).collect());
    }
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() {
                if !["target", "node_modules", ".venv", ".bulkhead", ".git"].contains(&name.as_ref()) {
                    folders.push(path);
                }
            } else if let Ok(relative) = path.strip_prefix(root) {
                found.push(relative.to_string_lossy().into_owned());
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_repository_is_tidy() {
        super::run(&crate::root()).unwrap();
    }
}
