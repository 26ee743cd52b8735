//! `cargo xtask test`: the one test command. Steps in order, each announced in one line; the first failure ends it.

mod binary;
mod cluster;
mod formatting;
mod lints;
mod prepare;
mod rust_tests;
mod sdk_tests;

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::tidy;
pub(crate) use binary::path as binary_path;

/// One step: what it is called, and what it does. It returns the closing lines of the test runner it ran, if any.
struct Step {
    name: &'static str,
    run: fn(&Path) -> Result<Vec<String>>,
}

const STEPS: &[Step] = &[
    Step { name: "formatting (rustfmt)", run: formatting::run },
    Step { name: "tidy (layers, files)", run: |root| tidy::run(root).map(|()| Vec::new()) },
    Step { name: "lints (clippy, warnings denied)", run: lints::run },
    Step { name: "what the tests start (Redis, Cassandra, network namespaces)", run: prepare::run },
    Step { name: "build (binary and tests)", run: rust_tests::build },
    Step { name: "Rust tests (cargo test --workspace)", run: rust_tests::run },
    Step { name: "SDK tests (node --test)", run: sdk_tests::run },
];

/// Runs every step on the repository at `root`.
///
/// # Errors
///
/// The first step that fails, by name and with its reason.
pub(crate) fn run_all(root: &Path) -> Result<()> {
    let start = Instant::now();
    let mut closing = Vec::new();
    for (index, step) in STEPS.iter().enumerate() {
        println!("[{}/{}] {}", index + 1, STEPS.len(), step.name);
        let step_start = Instant::now();
        let lines = (step.run)(root).with_context(|| format!("step {} failed: {}", index + 1, step.name))?;
        println!("      ok in {:.1} s", step_start.elapsed().as_secs_f64());
        closing.push((step.name, lines));
    }
    println!();
    for (name, lines) in closing.iter().filter(|(_, lines)| !lines.is_empty()) {
        println!("{name}");
        for line in lines {
            println!("    {line}");
        }
    }
    println!("all {} steps passed in {:.1} s", STEPS.len(), start.elapsed().as_secs_f64());
    Ok(())
}
