//! The bus on real Redis servers that the tests start, kill, pause and watch.

#![expect(clippy::unwrap_used, reason = "a helper of a test that fails has to panic")]

mod access;
mod cluster;
mod contract;
mod outages;
mod privacy;
mod support;
