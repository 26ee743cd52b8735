//! Records as they leave this service: the hashes of secrets stay here, whoever asks.

use bulkhead_proto::records::{App, User};
use bytes::Bytes;

/// An app without the hash of its client secret.
pub(crate) fn app(app: App) -> App {
    App { client_secret_hash: Bytes::new(), ..app }
}

/// An app without anything that makes tokens.
pub(crate) fn public_app(app: App) -> App {
    App { certificate_primary: String::new(), certificate_secondary: String::new(), ..self::app(app) }
}

/// A user without the hash of its password.
pub(crate) fn user(user: User) -> User {
    User { password_hash: String::new(), ..user }
}
