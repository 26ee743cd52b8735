//! What `deploy/` and `k8s/` say, compared with what the programs read, call and export.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail like tests")]

mod calls;
mod compose;
mod files;
mod kubernetes;
mod metrics;
mod policies;
mod regions;
mod strict;
mod token_server;
