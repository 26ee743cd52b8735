//! The auth service: the only one that judges a credential.
//!
//! It keeps apps and users, issues and revokes opaque tokens, and verifies AccessToken2 against an app's certificates.
//! A verdict is remembered by the hash of the token, so that the second use of a token costs a look-up; what a verdict
//! depends on (the app's certificates and rules, the user's state) is looked at each time, and what is remembered is
//! forgotten when it changes (`changes`), whichever process changed it. Secrets are kept as hashes: SHA-256 for what
//! is random (tokens, client secrets), argon2id for what people choose.

mod access_token;
mod authenticate;
mod changes;
mod create_app;
mod find_app;
mod grants;
mod opaque_token;
mod passwords;
mod register;
mod revoke;
mod rows;
mod rules;
mod service;
mod settings;
mod shown;
mod standing;
mod update_app;
mod users;

pub use rules::{accepts_secondary, token_life_s_max, token_skew_s};
pub use service::AuthService;
pub use settings::{AuthSettings, PasswordSettings};
