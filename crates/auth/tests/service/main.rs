//! The auth service on a real embedded store.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

mod apps;
mod grants;
mod logins;
mod outages;
mod region;
mod revocations;
mod rules;
mod standings;
mod users;
