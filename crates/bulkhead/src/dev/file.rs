use std::path::Path;

use bulkhead_chassis::write_private;
use serde::{Deserialize, Serialize};

use super::DevRegion;
use crate::Failure;

/// What `dev.json` holds.
#[derive(Serialize, Deserialize)]
pub(crate) struct DevFile {
    pub(crate) regions: Vec<DevRegion>,
}

impl DevFile {
    /// The file's text.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("strings and lists are always JSON")
    }

    /// Writes the file into the data folder, mode 0600.
    pub(crate) fn write(&self, data_dir: &Path) -> Result<(), Failure> {
        let text = format!("{}\n", self.to_json());
        Ok(write_private(&data_dir.join("dev.json"), text.as_bytes())?)
    }
}
