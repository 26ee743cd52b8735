//! The login frame (msync.md §2).

use super::up::Jid;
use crate::proto::provision::OsType;
use crate::wire::{Fields, Malformed};

/// A client's wish to log in. Holds a credential, so it has no `Debug`.
pub struct LoginRequest {
    /// `org#app`.
    pub app_key: String,
    /// As the client wrote it.
    pub username: String,
    /// Without any `$t$`; may be empty.
    pub token: String,
    /// The MSYNC resource that the client would like; empty when it leaves the choice.
    pub device: String,
    /// "web", "android", "ios", "linux", "osx", "win", "custom" or "other".
    pub platform: &'static str,
    pub device_name: String,
    pub device_uuid: String,
    /// Words for a device that this login forces out.
    pub login_ext: String,
}

/// Longest text of a login other than the token, in bytes.
pub(crate) const LOGIN_TEXT_BYTES_MAX: usize = 256;

const TOKEN_PREFIX: &str = "$t$";

impl LoginRequest {
    /// Whether every text is within [`LOGIN_TEXT_BYTES_MAX`] and of printable characters: a device id is stored, listed
    /// and written into frames of others.
    pub(crate) fn is_legal(&self) -> bool {
        let names = [&self.app_key, &self.username, &self.device, &self.device_name, &self.device_uuid];
        names.iter().all(|text| text.len() <= LOGIN_TEXT_BYTES_MAX && !text.chars().any(char::is_control))
            && self.login_ext.len() <= LOGIN_TEXT_BYTES_MAX * 4
    }
}

/// Reads a `Provision` with what stands beside it in the frame.
pub(super) fn read(guid: &[u8], auth: &str, provision: &[u8]) -> Result<LoginRequest, Malformed> {
    let guid = Jid::read(guid)?;
    let mut os = OsType::OsOther;
    let mut texts = Texts::default();
    let mut fields = Fields::of(provision);
    while let Some(field) = fields.next()? {
        let target = match field.number {
            1 => {
                let number = field.value.varint()?;
                // A system that is not known is "other": that is a newer client, not a broken one.
                os = i32::try_from(number).ok().and_then(|os| os.try_into().ok()).unwrap_or(OsType::OsOther);
                continue;
            }
            9 => &mut texts.device_uuid,
            12 => &mut texts.device_name,
            13 => &mut texts.resource,
            18 => &mut texts.auth_token,
            21 => &mut texts.reason,
            _ => continue,
        };
        *target = field.value.text()?;
    }
    let device = if texts.resource.is_empty() { guid.device } else { texts.resource };
    Ok(LoginRequest {
        app_key: guid.app_key.to_owned(),
        username: guid.name.to_owned(),
        token: token(auth, texts.auth_token),
        platform: platform(os, device),
        device: device.to_owned(),
        device_name: texts.device_name.to_owned(),
        device_uuid: texts.device_uuid.to_owned(),
        login_ext: texts.reason.to_owned(),
    })
}

#[derive(Default)]
struct Texts<'a> {
    device_uuid: &'a str,
    device_name: &'a str,
    resource: &'a str,
    auth_token: &'a str,
    reason: &'a str,
}

/// The token from the frame or, when that has none, from the JSON in the login.
fn token(auth: &str, auth_token: &str) -> String {
    let bare = |text: &str| text.strip_prefix(TOKEN_PREFIX).unwrap_or(text).to_owned();
    let frame = bare(auth);
    if !frame.is_empty() {
        return frame;
    }
    serde_json::from_str::<serde_json::Value>(auth_token)
        .ok()
        .and_then(|json| json.get("token")?.as_str().map(bare))
        .unwrap_or_default()
}

/// Browsers say "other"; only the name of the device tells them apart.
fn platform(os: OsType, device: &str) -> &'static str {
    match os {
        OsType::OsIos => "ios",
        OsType::OsAndroid => "android",
        OsType::OsLinux => "linux",
        OsType::OsOsx => "osx",
        OsType::OsWin => "win",
        OsType::OsCustom => "custom",
        OsType::OsOther if device.starts_with("webim") => "web",
        OsType::OsOther => "other",
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::proto::{self, Provision};

    fn guid(device: &str) -> Vec<u8> {
        let guid = proto::Jid {
            app_key: Some("demo#chat".into()),
            name: Some("Alice".into()),
            domain: Some("easemob.com".into()),
            client_resource: Some(device.into()),
        };
        guid.encode_to_vec()
    }

    #[test]
    fn a_login_of_the_web_sdk_is_read() {
        let provision = Provision {
            os_type: Some(OsType::OsOther.into()),
            device_uuid: Some("web_17".into()),
            device_name: Some("webim".into()),
            resource: Some("webim_web_17".into()),
            auth_token: Some(r#"{"token":"$t$tok"}"#.into()),
            reason: Some("from the kitchen".into()),
            ..Provision::default()
        };
        let login = read(&guid("webim_web_17"), "$t$tok", &provision.encode_to_vec()).unwrap();
        assert_eq!((login.app_key.as_str(), login.username.as_str()), ("demo#chat", "Alice"));
        assert_eq!((login.token.as_str(), login.device.as_str()), ("tok", "webim_web_17"));
        assert_eq!((login.platform, login.device_name.as_str()), ("web", "webim"));
        assert_eq!((login.device_uuid.as_str(), login.login_ext.as_str()), ("web_17", "from the kitchen"));
        assert!(login.is_legal());
    }

    #[test]
    fn the_token_is_found_in_either_place() {
        assert_eq!(token("$t$a", ""), "a");
        assert_eq!(token("a", r#"{"token":"b"}"#), "a");
        assert_eq!(token("", r#"{"token":"$t$b"}"#), "b");
        assert_eq!(token("$t$", r#"{"token":5}"#), "");
        assert_eq!(token("", "not json"), "");
    }

    #[test]
    fn the_platform_follows_from_system_and_device() {
        for (os, device, expected) in [
            (OsType::OsOther, "webim_1", "web"),
            (OsType::OsOther, "1", "other"),
            (OsType::OsCustom, "custom3_1", "custom"),
            (OsType::OsIos, "ios_1", "ios"),
            (OsType::OsAndroid, "android_1", "android"),
        ] {
            assert_eq!(platform(os, device), expected);
        }
    }

    #[test]
    fn a_device_id_is_short_and_printable() {
        let legal = |device: &str| read(&guid(device), "", &[]).unwrap().is_legal();
        assert!(legal(&"d".repeat(LOGIN_TEXT_BYTES_MAX)));
        assert!(!legal(&"d".repeat(LOGIN_TEXT_BYTES_MAX + 1)));
        assert!(!legal("a\nb"));
    }
}
