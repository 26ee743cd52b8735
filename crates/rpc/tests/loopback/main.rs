//! Every client against its server over a real loopback connection.

mod auth;
mod region_guard;
mod router;
mod support;
