//! The configuration of a running node with something changed.

use std::path::Path;

use anyhow::{Context, Result};
use toml::{Table, Value};

/// A setting by its full key, like `bus.shards`, and its new value.
pub(crate) type Change = (&'static str, Value);

pub(crate) fn read(file: &Path) -> Result<Table> {
    std::fs::read_to_string(file)?.parse().with_context(|| file.display().to_string())
}

pub(crate) fn set(table: &mut Table, key: &str, value: Value) -> Result<()> {
    match key.split_once('.') {
        None => drop(table.insert(key.to_owned(), value)),
        Some((section, rest)) => {
            let section = table.entry(section).or_insert_with(|| Table::new().into());
            set(section.as_table_mut().with_context(|| format!("{key} is in no section"))?, rest, value)?;
        }
    }
    Ok(())
}

/// The text of a setting.
pub(crate) fn text_of(table: &Table, key: &str) -> Result<String> {
    let found = match key.split_once('.') {
        None => table.get(key).and_then(Value::as_str).map(str::to_owned),
        Some((section, rest)) => {
            table.get(section).and_then(Value::as_table).and_then(|section| text_of(section, rest).ok())
        }
    };
    found.with_context(|| format!("{key} is not set"))
}
