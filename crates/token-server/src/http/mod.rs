//! The HTTP API: one table of routes, JSON in and out, errors included.

mod answer;
mod audit;
mod body;
mod caller;
mod error;
mod guard;
mod handlers;
mod routes;

pub(crate) use caller::{Caller, Door};
pub(crate) use routes::routes;
pub use routes::{Action, ROUTES, Route};
