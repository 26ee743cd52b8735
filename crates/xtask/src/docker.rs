//! `cargo xtask docker`.
use std::path::Path;
pub(crate) fn run(_: &Path) -> anyhow::Result<()> {
    anyhow::bail!("not yet")
}
