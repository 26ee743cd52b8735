//! How long the disk takes to make a write durable: no server that waits for it can acknowledge sooner.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use hdrhistogram::Histogram;

use super::report::histogram;
use crate::Failure;

/// Writes that are timed.
const WRITES: usize = 64;

/// Times appending and syncing of 4 KiB in a folder, in microseconds.
pub(super) fn probe(folder: &Path) -> Result<Histogram<u64>, Failure> {
    let path = folder.join("disk.probe");
    let failed = |error| Failure::io(format!("{}: {error}", path.display()));
    let mut file = File::create(&path).map_err(failed)?;
    let mut times = histogram();
    for _ in 0..WRITES {
        let began = Instant::now();
        file.write_all(&[0x5a; 4096]).and_then(|()| file.sync_data()).map_err(failed)?;
        times.saturating_record(began.elapsed().as_micros() as u64);
    }
    std::fs::remove_file(&path).map_err(failed)?;
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(probe(folder.path()).unwrap().len(), WRITES as u64);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
