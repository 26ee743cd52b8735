use crate::Service;

/// What a token says: the fields of `signing_info` (§6.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessToken {
    /// 32 hex digits, in the case in which they were given.
    pub app_id: String,
    /// Unix seconds.
    pub issued_s: u32,
    /// Seconds after the issue.
    pub life_s: u32,
    /// 1..=[`crate::SALT_MAX`], random, so that two tokens of one second differ.
    pub salt: u32,
    /// In ascending order of their numbers. One service may occur more than once.
    pub services: Vec<Service>,
}
