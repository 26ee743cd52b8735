//! gRPC clients and servers for the service traits, behind a region guard.
//!
//! For each service there is a server, which wraps an implementation of the service's trait, and a client, which is
//! another implementation of the same trait: whoever holds the trait cannot tell the two apart. Unary calls are listed
//! in one table per service; only the streams of the message path (`Attach`, `Publish`), those of attachments, and the
//! conversions of the storage port are written by hand.
//!
//! Every connection begins with a handshake in which both ends prove by certificate which service of which region they
//! are ([`identity`]). What a service may then call stands in one table ([`permissions`]). And no request and no answer
//! passes without the name of the region it belongs to: the server refuses a request of another region and the client
//! an answer of one (design: region pinning, layer 2).

mod accept;
mod attachments;
mod auth;
mod bus_keys;
mod connect;
mod dialled;
mod error;
mod guard;
pub mod identity;
pub mod limits;
pub mod permissions;
mod retention;
mod router;
mod server;
mod storage;
mod trace;
mod unary;

pub use attachments::{AttachmentClient, AttachmentServer};
pub use auth::{AuthClient, AuthServer};
pub use bus_keys::{BusKeysClient, BusKeysServer};
pub use connect::{Peer, connect, read_addresses};
pub use dialled::Dialled;
pub use error::{ERROR_KIND_HEADER, error_from_status, status_from_error};
pub use guard::{REGION_HEADER, RegionGuard};
pub use identity::{Identity, Service};
pub use retention::{RetentionClient, RetentionServer};
pub use router::{RouterClient, RouterServer};
pub use server::RpcServer;
pub use storage::{StorageClient, StorageServer};
