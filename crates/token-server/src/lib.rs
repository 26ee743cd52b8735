//! The token server: a process of the app's own, beside its back end, that holds the App Certificate.
//!
//! The back end asks it for tokens over a Unix socket, loopback or mutual TLS; no browser and no client of the app ever
//! calls it. It signs tokens by itself, without asking anyone. The app's own ids of users stay here: the chat system
//! knows a user by a random name, and what leads from one to the other is in a sealed map ([`UserMap`]).
//!
//! It talks to the region over the public REST API, as any back end does, and only to make chat users. While the region
//! is away, users that it has made before still get tokens.

mod certificates;
mod http;
mod limits;
mod listener;
mod map;
mod mutual_tls;
mod region;
mod server;
mod signer;
mod user_id;

pub use certificates::AppCertificates;
pub use http::{Action, ROUTES, Route};
pub use listener::Listener;
pub use map::{MAP_KEY_BYTES, TABLES, UserMap};
pub use mutual_tls::{MutualTls, MutualTlsTexts};
pub use region::AppRegion;
pub use server::{TokenServer, TokenServerSettings};
pub use signer::Signer;
pub use user_id::USER_BYTES_MAX;
