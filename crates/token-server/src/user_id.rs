use bulkhead_model::{ErrorKind, Result};

/// Longest id of a user in the app's own words, in bytes.
pub const USER_BYTES_MAX: usize = 256;

/// A user as the app calls it. It never leaves this process but to whoever knows it, so it has neither `Debug` nor
/// `Display`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct UserId(String);

impl UserId {
    /// `InvalidArgument` unless it is 1 to [`USER_BYTES_MAX`] bytes without control characters. Taken as it is: neither
    /// folded nor trimmed.
    pub(crate) fn new(text: String) -> Result<Self> {
        if text.is_empty() || text.len() > USER_BYTES_MAX || text.chars().any(char::is_control) {
            return Err(
                ErrorKind::InvalidArgument.with("a user is 1 to 256 bytes without control characters")
            );
        }
        Ok(Self(text))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_up_to_256_bytes_and_nothing_that_no_name_has() {
        for right in ["1", "Alice@example.com", " a b ", "客户", &"x".repeat(USER_BYTES_MAX)] {
            assert!(UserId::new(right.to_owned()).is_ok(), "{right}");
        }
        for wrong in ["", "a\nb", "a\0", &"x".repeat(USER_BYTES_MAX + 1)] {
            assert!(UserId::new(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
