use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use zeroize::Zeroizing;

use crate::StartError;

/// Largest file with a secret, in bytes.
const PRIVATE_FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Writes a file that only its owner can read, so that a reader sees all of it or the one before.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), StartError> {
    let beside = path.with_extension("new");
    let written = (|| {
        // A leftover of an interrupted write could have other permissions.
        let _ = fs::remove_file(&beside);
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        // The new name is durable when its folder is.
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    })();
    written.map_err(|error| StartError::file(path, &error))
}

/// Reads a file with a secret; refuses one that others than its owner can read.
pub fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, StartError> {
    read_secret(path, 0o077)
}

/// The same for a secret that an orchestrator hands out: its owner is then the system, and the process reads it through a
/// group of its own.
pub(crate) fn read_private_to_group(path: &Path) -> Result<Zeroizing<Vec<u8>>, StartError> {
    read_secret(path, 0o037)
}

fn read_secret(path: &Path, refused_bits: u32) -> Result<Zeroizing<Vec<u8>>, StartError> {
    let failed = |error| StartError::file(path, &error);
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
    if mode & refused_bits != 0 {
        let path = path.display();
        return Err(StartError::Usage(format!(
            "{path} can be read by others (mode {mode:03o}); make it private with chmod 600 {path}"
        )));
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(PRIVATE_FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    #[test]
    fn a_private_file_is_written_whole_with_mode_600_and_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        write_private(&path, b"first").unwrap();
        write_private(&path, b"second").unwrap();
        assert_eq!(read_private(&path).unwrap().as_slice(), b"second");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, "x").unwrap();
        for mode in [0o640, 0o604, 0o660] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let error = read_private(&path).unwrap_err();
            assert_eq!(error.code(), 64);
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
        assert_eq!(read_private(&folder.path().join("none")).unwrap_err().code(), 74);
    }
}
