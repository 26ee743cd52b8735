//! `docs/config.md`: every setting as a page, written from the commented default configuration.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

const INTRODUCTION: &str = "# Configuration

<!-- Written by `cargo xtask codegen` from deploy/config/default.toml. Change that file, not this one. -->
";

/// Writes the page.
pub(crate) fn write(root: &Path) -> Result<()> {
    let path = page(root);
    fs::write(&path, render(&defaults(root)?)).with_context(|| format!("write {}", path.display()))
}

fn page(root: &Path) -> PathBuf {
    root.join("docs/config.md")
}

fn defaults(root: &Path) -> Result<String> {
    let path = root.join("deploy/config/default.toml");
    fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
}

/// The page for a configuration file in which each key is explained by the comment lines above it, and each section by
/// the comment lines above its header.
fn render(toml: &str) -> String {
    let mut page = INTRODUCTION.to_owned();
    let mut comment: Vec<&str> = Vec::new();
    let mut section = String::new();
    let mut table_is_open = false;
    for line in toml.lines() {
        if let Some(text) = line.strip_prefix('#') {
            // A ruler divides the file for its reader; on the page the headings do.
            if !text.trim_start().starts_with("---") {
                comment.push(text.strip_prefix(' ').unwrap_or(text));
            }
        } else if line.is_empty() {
            if !comment.is_empty() {
                push(&mut page, &format!("\n{}\n", paragraphs(&comment)));
                table_is_open = false;
            }
            comment.clear();
        } else if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.clone_into(&mut section);
            push(&mut page, &format!("\n## `[{name}]`\n"));
            if !comment.is_empty() {
                push(&mut page, &format!("\n{}\n", paragraphs(&comment)));
            }
            comment.clear();
            table_is_open = false;
        } else if let Some((key, value)) = line.split_once(" = ") {
            if !table_is_open {
                push(&mut page, "\n| key | default | environment | |\n|---|---|---|---|\n");
                table_is_open = true;
            }
            let full = if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") };
            let variable = format!("BULKHEAD_{}", full.to_uppercase().replace('.', "__"));
            let text = comment.join(" ").replace('|', "\\|");
            push(&mut page, &format!("| `{full}` | `{value}` | `{variable}` | {text} |\n"));
            comment.clear();
        }
    }
    page
}

fn push(page: &mut String, text: &str) {
    // Writing to a String cannot fail.
    let _ = page.write_str(text);
}

/// Comment lines as Markdown: a bare `#` line ends a paragraph.
fn paragraphs(lines: &[&str]) -> String {
    lines.join("\n").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_page_is_current() {
        let root = crate::root();
        let committed = fs::read_to_string(page(&root)).unwrap_or_default();
        assert!(
            committed == render(&defaults(&root).unwrap()),
            "docs/config.md is stale: run cargo xtask codegen"
        );
    }

    #[test]
    fn a_key_has_its_section_its_variable_and_its_comment() {
        let page = render("# All.\n\n# Sockets.\n[gateway]\n# Where.\n# Really.\nlisten = \"a:1\"\n");
        assert!(page.contains("\nAll.\n"), "{page}");
        assert!(page.contains("## `[gateway]`\n\nSockets.\n"), "{page}");
        let row = "| `gateway.listen` | `\"a:1\"` | `BULKHEAD_GATEWAY__LISTEN` | Where. Really. |\n";
        assert!(page.contains(row), "{page}");
    }

    #[test]
    fn every_key_of_the_default_configuration_is_on_the_page() {
        let toml = defaults(&crate::root()).unwrap();
        let keys = toml.lines().filter(|line| !line.starts_with('#') && line.contains(" = ")).count();
        let rows = render(&toml).lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(rows, keys);
    }
}
