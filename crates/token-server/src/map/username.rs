use bulkhead_model::Entropy;

/// Characters after the first; 5 bits each, so that nobody guesses a name and no two users ever get the same.
const RANDOM_CHARS: usize = 25;

/// Base32 (RFC 4648 §6) in the lower case of usernames (features.md §1).
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// A new chat username: `u` and 25 random characters.
pub(super) fn random(entropy: &dyn Entropy) -> String {
    let mut bytes = [0; 16];
    entropy.fill(&mut bytes);
    let mut bits = u128::from_le_bytes(bytes);
    let mut name = String::with_capacity(1 + RANDOM_CHARS);
    name.push('u');
    for _ in 0..RANDOM_CHARS {
        name.push(char::from(ALPHABET[(bits & 31) as usize]));
        bits >>= 5;
    }
    name
}

/// Whether a text has the form of a name that [`random`] makes.
pub(super) fn is_one(name: &str) -> bool {
    name.len() == 1 + RANDOM_CHARS
        && name.starts_with('u')
        && name.bytes().skip(1).all(|byte| ALPHABET.contains(&byte))
}

#[cfg(test)]
mod tests {
    use bulkhead_model::{SeededEntropy, username_is_legal};

    use super::*;

    #[test]
    fn names_are_legal_and_each_is_another() {
        let entropy = SeededEntropy::new(1);
        let names: std::collections::BTreeSet<_> = (0..1000).map(|_| random(&entropy)).collect();
        assert_eq!(names.len(), 1000);
        assert!(names.iter().all(|name| username_is_legal(name) && is_one(name)));
        assert!(!is_one("alice") && !is_one(&"u".repeat(27)) && !is_one(&format!("u{}", "A".repeat(25))));
    }
}
