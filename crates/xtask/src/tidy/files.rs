//! The state of the files: size, tests that would not run, addresses of package registries.

/// Most lines of a source file; what is longer does more than one thing.
const LINES_MAX: usize = 500;

/// Hosts of package registries and mirrors. Where packages come from is the machine's business: a lock file pins what a
/// package is by its hash. Written in two halves so that this file passes its own check.
const REGISTRY_HOSTS: &[(&str, &str)] = &[
    ("registry.npm", "js.org"),
    ("registry.yarn", "pkg.com"),
    ("npm", "mirror.com"),
    ("files.python", "hosted.org"),
    ("pypi", ".org"),
    ("index.crates", ".io"),
    ("static.crates", ".io"),
];

/// The one source of crates in Cargo.lock; a name that cargo gives to its default registry, not an address it calls.
const CARGO_SOURCE: &str = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";

/// One line for everything wrong with the file at `path` (relative to the root, `/` between the parts).
pub(super) fn check(path: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if is_source(path) {
        let lines = text.lines().count();
        if lines > LINES_MAX {
            problems.push(format!("{path}: {lines} lines, at most {LINES_MAX}"));
        }
    }
    for (index, line) in text.lines().enumerate() {
        let problem = if path.ends_with(".rs") && line.trim_start().starts_with("#[ignore") {
            "an ignored test tests nothing"
        } else if path == "Cargo.lock" && line.starts_with("source = ") && line != CARGO_SOURCE {
            "a crate that does not come from the default registry"
        } else if REGISTRY_HOSTS.iter().any(|(left, right)| line.contains(&format!("{left}{right}"))) {
            "the address of a package registry"
        } else if path.ends_with("package-lock.json") && line.contains("\"resolved\": \"http") {
            "a package bound to an address: keep omit-lockfile-registry-resolved in .npmrc"
        } else {
            continue;
        };
        problems.push(format!("{path}:{}: {problem}", index + 1));
    }
    problems
}

/// Rust source that someone wrote.
fn is_source(path: &str) -> bool {
    path.starts_with("crates/")
        && path.contains("/src/")
        && !path.contains("/src/gen/")
        && path.ends_with(".rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_have_as_many_lines_as_the_limit_and_not_one_more() {
        let text = "x\n".repeat(LINES_MAX);
        assert!(check("crates/model/src/a.rs", &text).is_empty());
        assert_eq!(check("crates/model/src/a.rs", &format!("{text}x\n")).len(), 1);
        assert!(check("crates/proto/src/gen/a.rs", &format!("{text}x\n")).is_empty());
        assert!(check("docs/a.md", &format!("{text}x\n")).is_empty());
    }

    #[test]
    fn an_ignored_test_is_found() {
        let text = "#[test]\n    #[ignore = \"slow\"]\nfn a() {}\n";
        let found = check("crates/model/tests/a.rs", text);
        assert_eq!(found, ["crates/model/tests/a.rs:2: an ignored test tests nothing"]);
    }

    #[test]
    fn the_address_of_a_registry_is_found_in_any_file() {
        for (left, right) in REGISTRY_HOSTS {
            assert_eq!(check("tests/sdk/.npmrc", &format!("a=https://{left}{right}/\n")).len(), 1);
        }
    }

    #[test]
    fn a_lock_file_that_binds_a_package_to_an_address_is_found() {
        let text = "      \"resolved\": \"https://mirror.example/a.tgz\",\n";
        assert_eq!(check("tests/sdk/package-lock.json", text).len(), 1);
    }

    #[test]
    fn a_crate_from_elsewhere_is_found() {
        assert!(check("Cargo.lock", CARGO_SOURCE).is_empty());
        assert_eq!(check("Cargo.lock", "source = \"git+https://example.com/a\"").len(), 1);
    }
}
