//! The gateway: the only service that accepts client traffic.
//!
//! [`rest`] answers the HTTP API, [`sockets`] carries MSYNC sessions over WebSockets; both end at the same
//! [`Gateway`], which holds the other services as traits and no key, no database and no Redis password. What a message
//! may do is never decided here: the gateway knows frames and sessions, the router knows channels.

mod attachment;
mod forwarded;
mod front;
mod gateway;
mod home;
mod listener;
mod proxy_protocol;
mod rest;
mod settings;
mod sockets;

pub use front::{ClientAddress, Front, Proxies};
pub use gateway::{Dependencies, Gateway};
pub use settings::GatewaySettings;

/// What a gateway's TLS agrees to carry (ALPN): HTTP/2 and HTTP/1.1, and frames of MSYNC without either.
pub const ALPN: [&[u8]; 3] = [b"h2", b"http/1.1", bulkhead_msync::TRANSPORT_ALPN];
