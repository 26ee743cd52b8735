//! Nothing is served, and a while later nothing is kept, that is older than its app's plan allows.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod bed;
mod cost;
mod gone;
mod reported;
mod served;
