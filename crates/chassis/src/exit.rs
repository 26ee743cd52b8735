use std::io;
use std::path::Path;

/// Why a process did not start; the text is what the operator reads.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Arguments, configuration or the data do not fit: exit code 64 (`EX_USAGE` of sysexits.h).
    #[error("{0}")]
    Usage(String),
    /// A file, folder or port cannot be had: exit code 74 (`EX_IOERR`).
    #[error("{0}")]
    Io(String),
}

impl StartError {
    /// A file or folder that the operating system refuses.
    pub fn file(path: &Path, error: &io::Error) -> Self {
        Self::Io(format!("{}: {error}", path.display()))
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            StartError::Usage(_) => 64,
            StartError::Io(_) => 74,
        }
    }
}
