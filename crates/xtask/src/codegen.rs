//! Generated code: written from `proto/`, committed, and proved current by the test below.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A set of proto files that is generated in one go into one folder.
struct Unit {
    files: &'static [&'static str],
    folder: &'static str,
    /// Packages that live elsewhere, with the Rust path that replaces them.
    outside: &'static [(&'static str, &'static str)],
}

const UNITS: &[Unit] = &[
    // Records on their own: to the services they are an outside module.
    Unit { files: &["bulkhead/records/v1/records.proto"], folder: "crates/proto/src/gen", outside: &[] },
    Unit {
        files: &[
            "bulkhead/attachments/v1/attachments.proto",
            "bulkhead/auth/v1/auth.proto",
            "bulkhead/router/v1/router.proto",
            "bulkhead/storage/v1/storage.proto",
        ],
        folder: "crates/proto/src/gen",
        outside: &[(".bulkhead.records.v1", "crate::records")],
    },
    Unit { files: &["msync/msync.proto"], folder: "crates/msync/src/gen", outside: &[] },
];

/// Writes every generated file.
pub(crate) fn write() -> Result<()> {
    for (target, text) in generate()? {
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&target, text).with_context(|| format!("write {}", target.display()))?;
    }
    Ok(())
}

/// Where each generated file belongs, and its text.
fn generate() -> Result<Vec<(PathBuf, String)>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut outputs = Vec::new();
    for unit in UNITS {
        let fresh = tempfile::tempdir()?;
        let descriptors = protox::compile(unit.files, [root.join("proto")])?;
        let mut prost = prost_build::Config::new();
        prost.bytes(["."]);
        let mut generator = tonic_prost_build::configure().out_dir(fresh.path());
        for (package, module) in unit.outside {
            generator = generator.extern_path(*package, *module);
        }
        generator.compile_fds_with_config(descriptors, prost)?;
        for entry in fs::read_dir(fresh.path())? {
            let entry = entry?;
            outputs.push((root.join(unit.folder).join(entry.file_name()), fs::read_to_string(entry.path())?));
        }
    }
    Ok(outputs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_code_is_current() {
        for (target, text) in generate().expect("code is generated") {
            let committed = fs::read_to_string(&target).unwrap_or_default();
            assert!(committed == text, "{} is stale: run cargo xtask codegen", target.display());
        }
    }
}
