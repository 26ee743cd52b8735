use crate::{AccessToken, PRIVILEGE_CHAT_APP, PRIVILEGE_CHAT_USER, Service, TokenError};

/// Makes a token with which one user logs in (§6.5).
///
/// `user_id` is the username; `issued_s` Unix seconds; `life_s` at most 24 hours or no server accepts it; `salt` a
/// random number of 1..=[`crate::SALT_MAX`]. Errors as [`AccessToken::encode`].
pub fn build_chat_user_token(
    app_id: &str,
    certificate: &str,
    user_id: &str,
    issued_s: u32,
    life_s: u32,
    salt: u32,
) -> Result<String, TokenError> {
    let service = Service::chat(user_id, PRIVILEGE_CHAT_USER, life_s);
    AccessToken { app_id: app_id.to_owned(), issued_s, life_s, salt, services: vec![service] }
        .encode(certificate)
}

/// Makes a token with which a back end acts for the app over REST (§6.5). Arguments and errors as
/// [`build_chat_user_token`].
pub fn build_chat_app_token(
    app_id: &str,
    certificate: &str,
    issued_s: u32,
    life_s: u32,
    salt: u32,
) -> Result<String, TokenError> {
    let service = Service::chat("", PRIVILEGE_CHAT_APP, life_s);
    AccessToken { app_id: app_id.to_owned(), issued_s, life_s, salt, services: vec![service] }
        .encode(certificate)
}
