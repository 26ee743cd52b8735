use std::fmt;
use std::str::FromStr;

use crate::{Entropy, Error, ErrorKind, Region};

/// `org#app`: how clients and REST paths name an app (features.md §1).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AppKey {
    pub org: String,
    pub app: String,
}

/// Longest organization or app name, in bytes.
const NAME_BYTES_MAX: usize = 64;

impl AppKey {
    /// Builds an AppKey from its two names; each is 1–64 bytes of `[A-Za-z0-9_-]`.
    pub fn new(org: &str, app: &str) -> Result<Self, Error> {
        if name_is_legal(org) && name_is_legal(app) {
            Ok(Self { org: org.to_owned(), app: app.to_owned() })
        } else {
            Err(ErrorKind::InvalidArgument.with("org and app names are 1-64 letters, digits, '-' or '_'"))
        }
    }
}

fn name_is_legal(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

impl FromStr for AppKey {
    type Err = Error;

    /// Reads `org#app` (the SDK's form) or `org/app` (the command line's form).
    fn from_str(text: &str) -> Result<Self, Error> {
        let (org, app) = text
            .split_once(['#', '/'])
            .ok_or_else(|| ErrorKind::InvalidArgument.with("an AppKey has the form org#app"))?;
        AppKey::new(org, app)
    }
}

impl fmt::Display for AppKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.org, self.app)
    }
}

/// 32 hex digits that name an app in tokens; the first two tell its home region (design: words).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AppId(String);

impl AppId {
    /// Makes a new App ID whose first two digits name `region`.
    pub fn generate(region: Region, entropy: &dyn Entropy) -> Self {
        let mut random = [0u8; 15];
        entropy.fill(&mut random);
        let tail: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        Self(format!("{}{tail}", region.app_id_prefix()))
    }

    /// The home region that the first two digits name, or `None` for an App ID brought along from elsewhere.
    pub fn home(&self) -> Option<Region> {
        Region::ALL.into_iter().find(|region| self.0.starts_with(region.app_id_prefix()))
    }

    /// The digits, in the case in which they were given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AppId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ErrorKind::InvalidArgument.with("an App ID is 32 hex digits"))
        }
    }
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The internal identity of an app: 16 bytes, shown as a UUID in the `application` field of REST answers.
///
/// It scopes every row and every data key of the app; names and App IDs only lead to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AppUuid(pub [u8; 16]);

impl AppUuid {
    /// Makes a random (version 4) identity.
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let mut bytes = [0u8; 16];
        entropy.fill(&mut bytes);
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        Self(bytes)
    }

    /// Reads the 16 raw bytes that internal requests carry.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, Error> {
        let bytes =
            bytes.try_into().map_err(|_| ErrorKind::InvalidArgument.with("an app identity is 16 bytes"))?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for AppUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SeededEntropy;

    #[test]
    fn an_app_id_names_the_region_it_was_made_in() {
        let entropy = SeededEntropy::new(7);
        for region in Region::ALL {
            let id = AppId::generate(region, &entropy);
            assert_eq!(id.as_str().len(), 32);
            assert_eq!(id.home(), Some(region));
            assert_eq!(id.as_str().parse::<AppId>().unwrap(), id);
        }
        assert_eq!("970CA35de60c44645bbae8a215061b33".parse::<AppId>().unwrap().home(), None);
    }

    #[test]
    fn an_app_key_reads_from_both_forms_and_refuses_others() {
        assert_eq!("demo#chat".parse::<AppKey>().unwrap().to_string(), "demo#chat");
        assert_eq!("demo/chat".parse::<AppKey>().unwrap().to_string(), "demo#chat");
        for wrong in ["demo", "#", "a#", "a#b#c", "a b#c", &format!("{}#b", "a".repeat(65))] {
            assert!(wrong.parse::<AppKey>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_app_uuid_prints_as_a_version_4_uuid() {
        let text = AppUuid::generate(&SeededEntropy::new(1)).to_string();
        assert_eq!(text.len(), 36);
        assert_eq!(&text[14..15], "4");
    }
}
