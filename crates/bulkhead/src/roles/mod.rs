//! One service of a cluster per process: `bulkhead gateway|auth|router|storage --config FILE`.

pub(crate) mod auth;
pub(crate) mod gateway;
mod node;
pub(crate) mod router;
pub(crate) mod storage;
