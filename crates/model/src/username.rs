/// Longest username, in bytes (features.md §1).
pub const USERNAME_BYTES_MAX: usize = 64;

/// Whether `name` may be a username: 1–64 bytes of `[a-z0-9_.-]` (features.md §1).
pub fn username_is_legal(name: &str) -> bool {
    (1..=USERNAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-'))
}

/// Folds upper case to lower case, as the field's services do before they look a user up (features.md §1).
pub fn fold_username(name: &str) -> String {
    name.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_username_is_bounded_and_lower_case() {
        assert!(username_is_legal("a"));
        assert!(username_is_legal("alice_1.b-c"));
        assert!(username_is_legal(&"a".repeat(64)));
        assert!(!username_is_legal(&"a".repeat(65)));
        for wrong in ["", "Alice", "a b", "a:b", "é", "a/b", "a@b"] {
            assert!(!username_is_legal(wrong), "{wrong}");
        }
        assert_eq!(fold_username("Alice"), "alice");
    }
}
