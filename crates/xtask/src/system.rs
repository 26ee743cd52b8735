//! System packages: present, installed by the package manager where that is allowed, or named as missing.

use std::process::Command;

use anyhow::{Result, bail};

use crate::program;

/// The oldest Node.js that the SDK tests run on.
const NODE_MAJOR_MIN: u32 = 20;

/// Node.js with npm, for the SDK tests.
pub(crate) fn require_node() -> Result<()> {
    if !node_is_there() {
        install(&["nodejs", "npm"])?;
    }
    if !node_is_there() {
        bail!("missing: Node.js {NODE_MAJOR_MIN} or newer with npm");
    }
    Ok(())
}

/// Python with `venv`, for the Python token library.
pub(crate) fn require_python() -> Result<()> {
    if !python_is_there() {
        install(&["python3", "python3-venv"])?;
    }
    if !python_is_there() {
        bail!("missing: Python 3 with its venv module (Debian: python3-venv)");
    }
    Ok(())
}

/// A program on the search path; installed from Debian's packages, if they are named and we may, or named as missing.
pub(crate) fn require(name: &str, packages: &[&str], missing: &str) -> Result<()> {
    if !is_on_path(name) && !packages.is_empty() {
        install(packages)?;
    }
    if !is_on_path(name) {
        bail!("missing: {missing}");
    }
    Ok(())
}

/// Whether we may do whatever the machine allows.
pub(crate) fn is_root() -> bool {
    program::answer(Command::new("id").arg("-u")).is_some_and(|id| id == "0")
}

fn is_on_path(name: &str) -> bool {
    let Some(path) = std::env::var_os("PATH") else { return false };
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

fn node_is_there() -> bool {
    let version = program::answer(Command::new("node").arg("--version"));
    version.as_deref().and_then(major).is_some_and(|major| major >= NODE_MAJOR_MIN)
        && program::succeeds(Command::new("npm").arg("--version"))
}

fn python_is_there() -> bool {
    program::succeeds(Command::new("python3").args(["-c", "import venv, ensurepip"]))
}

/// The first number of a version such as `v20.20.2`.
fn major(version: &str) -> Option<u32> {
    version.trim_start_matches('v').split('.').next()?.parse().ok()
}

/// Installs Debian packages if we may; otherwise says in one line what is missing.
fn install(packages: &[&str]) -> Result<()> {
    if !is_root() || !program::succeeds(Command::new("apt-get").arg("--version")) {
        bail!("missing: {} (install with your package manager)", packages.join(", "));
    }
    println!("     installing {}", packages.join(", "));
    program::run(Command::new("apt-get").args(["update", "-qq"]))?;
    let mut command = Command::new("apt-get");
    command.args(["install", "-y", "-qq", "--no-install-recommends"]).args(packages);
    // Services are for whoever needs them to start: with this run level the packages' scripts do not.
    program::run(command.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_of_node_is_read() {
        assert_eq!(major("v20.20.2"), Some(20));
        assert_eq!(major("18.1.0"), Some(18));
        assert_eq!(major("none"), None);
    }
}
