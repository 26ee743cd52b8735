//! The region key: 32 bytes that wrap the data keys of every app, from a file or the environment (design: sealing).

use std::path::Path;

use bulkhead_model::Entropy;
use zeroize::Zeroizing;

use crate::{StartError, read_private, write_private};

/// The 32 bytes, wiped when dropped.
pub type RegionKeyBytes = Zeroizing<[u8; 32]>;

/// Reads 64 hex digits, with or without a line end. `origin` says where they come from, for the error.
pub fn from_hex(text: &[u8], origin: &str) -> Result<RegionKeyBytes, StartError> {
    read_hex(text, origin, "a region key")
}

/// Reads the key from a file that only its owner can read.
pub fn from_file(path: &Path) -> Result<RegionKeyBytes, StartError> {
    from_hex(&read_private(path)?, &path.display().to_string())
}

/// Reads the key of a token server's map, which has the same form.
pub fn map_key_from_file(path: &Path) -> Result<RegionKeyBytes, StartError> {
    read_hex(&read_private(path)?, &path.display().to_string(), "a map key")
}

/// Reads the key from a file, which is made with a new key when it is not there.
pub fn from_file_or_new(path: &Path, entropy: &dyn Entropy) -> Result<RegionKeyBytes, StartError> {
    if path.exists() {
        return from_file(path);
    }
    let mut key = RegionKeyBytes::default();
    entropy.fill(key.as_mut_slice());
    let mut text = Zeroizing::new(hex::encode(key.as_slice()));
    text.push('\n');
    write_private(path, text.as_bytes())?;
    Ok(key)
}

fn read_hex(text: &[u8], origin: &str, what: &str) -> Result<RegionKeyBytes, StartError> {
    let mut key = RegionKeyBytes::default();
    hex::decode_to_slice(text.trim_ascii(), key.as_mut_slice())
        .map_err(|_| StartError::Usage(format!("{origin}: {what} is 64 hex digits")))?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bulkhead_model::SeededEntropy;

    #[test]
    fn a_new_key_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("region.key");
        let made = from_file_or_new(&path, &SeededEntropy::new(1)).unwrap();
        let found = from_file_or_new(&path, &SeededEntropy::new(2)).unwrap();
        assert_eq!(made, found);
        assert_eq!(from_file(&path).unwrap(), found);
    }

    #[test]
    fn a_key_of_another_length_or_with_other_digits_is_refused_without_being_told() {
        for wrong in ["", "abcd", &"0".repeat(63), &"0".repeat(65), &"z".repeat(64)] {
            let error = from_hex(wrong.as_bytes(), "BULKHEAD_STORAGE__REGION_KEY").unwrap_err();
            assert_eq!(error.to_string(), "BULKHEAD_STORAGE__REGION_KEY: a region key is 64 hex digits");
        }
        assert!(from_hex(format!("{}\n", "aF".repeat(32)).as_bytes(), "x").is_ok());
    }
}
