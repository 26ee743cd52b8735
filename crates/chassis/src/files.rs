use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
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

/// Reads a file with a secret; refuses one that others than its owner can read. A file that belongs to somebody else may be
/// read by its group: an orchestrator owns the secrets that it hands out, and the process has a group for them.
pub fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, StartError> {
    let failed = |error| StartError::file(path, &error);
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let mode = metadata.permissions().mode() & 0o777;
    let is_own = metadata.uid() == rustix::process::geteuid().as_raw();
    if !is_private(mode, is_own) {
        let path = path.display();
        return Err(StartError::Usage(format!(
            "{path} can be read by others (mode {mode:03o}); make it private with chmod 600 {path}"
        )));
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(PRIVATE_FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// The same for a secret that is text, without the white space around it.
pub fn read_private_text(path: &Path) -> Result<Zeroizing<String>, StartError> {
    let bytes = read_private(path)?;
    match std::str::from_utf8(bytes.trim_ascii()) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(StartError::Usage(format!("{}: the secret is no text", path.display()))),
    }
}

fn is_private(mode: u32, is_own: bool) -> bool {
    let refused = if is_own { 0o077 } else { 0o037 };
    mode & refused == 0
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

    #[test]
    fn only_a_secret_that_was_handed_out_may_be_read_by_a_group() {
        for (mode, is_own, expected) in [
            (0o600, true, true),
            (0o400, true, true),
            (0o440, true, false),
            (0o440, false, true),
            (0o640, false, true),
            (0o660, false, false),
            (0o444, false, false),
        ] {
            assert_eq!(is_private(mode, is_own), expected, "{mode:03o} {is_own}");
        }
    }

    #[test]
    fn a_secret_text_is_read_without_its_line_end_and_must_be_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        write_private(&path, b"word\n").unwrap();
        assert_eq!(*read_private_text(&path).unwrap(), "word");
        write_private(&path, &[0xff]).unwrap();
        assert_eq!(read_private_text(&path).unwrap_err().code(), 64);
    }
}
