use bulkhead_model::{ErrorKind, Result};
use zeroize::Zeroizing;

/// The App Certificates that tokens are signed with. Secret, so it has no `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct AppCertificates {
    primary: Zeroizing<String>,
    secondary: Option<Zeroizing<String>>,
}

impl AppCertificates {
    /// `InvalidArgument`, which says which of them it is, unless both are 32 hex digits (features.md §6.1) and differ.
    pub fn new(primary: Zeroizing<String>, secondary: Option<Zeroizing<String>>) -> Result<Self> {
        if !is_certificate(&primary) {
            return Err(ErrorKind::InvalidArgument.with("an app certificate is 32 hex digits"));
        }
        if let Some(secondary) = &secondary {
            if !is_certificate(secondary) {
                return Err(
                    ErrorKind::InvalidArgument.with("the secondary app certificate is not 32 hex digits")
                );
            }
            if *secondary == primary {
                return Err(ErrorKind::InvalidArgument.with("both app certificates are the same"));
            }
        }
        Ok(Self { primary, secondary })
    }

    /// The primary one first.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = &str> {
        [Some(&self.primary), self.secondary.as_ref()].into_iter().flatten().map(|text| text.as_str())
    }
}

fn is_certificate(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(primary: &str, secondary: Option<&str>) -> Result<AppCertificates> {
        AppCertificates::new(
            Zeroizing::new(primary.to_owned()),
            secondary.map(|text| Zeroizing::new(text.to_owned())),
        )
    }

    #[test]
    fn a_certificate_is_32_hex_digits_and_the_secondary_another_one() {
        let (one, other) = ("5CFd2fd1755d40ecb72977518be15d3b", "0123456789abcdef0123456789abcdef");
        let both = read(one, Some(other)).ok().unwrap();
        assert_eq!(both.in_order().collect::<Vec<_>>(), [one, other]);
        assert_eq!(read(one, None).ok().unwrap().in_order().count(), 1);
        let canary = "canary";
        for (primary, secondary) in [(canary, None), (one, Some(canary)), (one, Some(one)), ("", None)] {
            let Err(error) = read(primary, secondary) else { panic!("{primary} {secondary:?}") };
            assert!(!error.to_string().contains(canary) && !error.to_string().contains(one), "{error}");
        }
    }
}
