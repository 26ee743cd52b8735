//! The auth service: credentials, tokens, users, apps.
