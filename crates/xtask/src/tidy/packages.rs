//! Names and descriptions of the crates.

use cargo_metadata::Metadata;

/// The packages whose names do not start with `bulkhead-`.
const PLAIN_NAMES: &[&str] = &["bulkhead", "xtask"];

/// One line for every package with a wrong name, or in a folder of another name, or without a description.
pub(super) fn check(metadata: &Metadata) -> Vec<String> {
    let mut problems = Vec::new();
    for package in &metadata.packages {
        let folder = package.manifest_path.parent().and_then(|folder| folder.file_name()).unwrap_or_default();
        problems.extend(check_package(&package.name, folder, package.description.as_deref()));
    }
    problems
}

fn check_package(name: &str, folder: &str, description: Option<&str>) -> Vec<String> {
    let mut problems = Vec::new();
    if name != format!("bulkhead-{folder}") && !(PLAIN_NAMES.contains(&name) && name == folder) {
        problems.push(format!("crates/{folder}: the package is called {name}, not bulkhead-{folder}"));
    }
    if description.is_none_or(|text| text.trim().is_empty()) {
        problems.push(format!("crates/{folder}: the package has no description"));
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_called_after_its_folder() {
        assert!(check_package("bulkhead-store", "store", Some("x")).is_empty());
        assert!(check_package("bulkhead", "bulkhead", Some("x")).is_empty());
        assert!(check_package("xtask", "xtask", Some("x")).is_empty());
        assert_eq!(check_package("store", "store", Some("x")).len(), 1);
        assert_eq!(check_package("bulkhead-shop", "store", Some("x")).len(), 1);
    }

    #[test]
    fn a_package_has_a_description() {
        assert_eq!(check_package("bulkhead-store", "store", None).len(), 1);
        assert_eq!(check_package("bulkhead-store", "store", Some(" ")).len(), 1);
    }
}
