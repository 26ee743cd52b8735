use std::process::ExitCode;

use bulkhead_chassis::StartError;
use bulkhead_client::ClientError;
use bulkhead_model::{Error, ErrorKind};

/// What ends a command early, with the exit code that says what kind of thing it was.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct Failure {
    text: String,
    code: u8,
}

impl Failure {
    /// Arguments, configuration or data that do not fit: exit code 64.
    pub fn usage(text: impl Into<String>) -> Self {
        Self { text: text.into(), code: 64 }
    }

    /// A file, folder or port that cannot be had: exit code 74.
    pub fn io(text: impl Into<String>) -> Self {
        Self { text: text.into(), code: 74 }
    }

    /// A command that was understood and did not succeed: exit code 1.
    pub fn refused(text: impl Into<String>) -> Self {
        Self { text: text.into(), code: 1 }
    }

    /// The same, with the setting that it comes from.
    #[must_use]
    pub fn of_setting(self, setting: &str) -> Self {
        Self { text: format!("{setting}: {}", self.text), ..self }
    }

    /// Prints the one line for people on standard error and answers the exit code.
    pub fn report(&self) -> ExitCode {
        eprintln!("bulkhead: {}", self.text);
        ExitCode::from(self.code)
    }

    /// A failure to start on what is stored: what the disk refuses is 74, what does not fit is 64.
    pub fn of_storage(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Internal => Self::io(error.to_string()),
            _ => Self::usage(error.to_string()),
        }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self { code: error.code(), text: error.to_string() }
    }
}

/// A region that says no, or cannot be reached.
impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Invalid(_) => Self::usage(error.to_string()),
            ClientError::Connection(_) => Self::io(error.to_string()),
            _ => Self::refused(error.to_string()),
        }
    }
}

/// A service that says no.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::refused(error.to_string())
    }
}
