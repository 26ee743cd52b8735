//! The storage service: the only one that holds data keys and reaches an engine.
//!
//! It is the storage port around the storage port: callers write values, the engine gets sealed ones. On the way it
//! decides how long a row is kept, from the table's retention class, and serves and keeps nothing that is older than the app's
//! plan allows ([`RetentionService`]). Keys are data of the engine too,
//! wrapped by the region key, in a table that no caller can name.
//!
//! Attachments are its second half ([`AttachmentService`]): files in an object store, sealed with the same keys. Beside
//! them it derives the keys of the bus for the routers ([`BusKeyService`]).

mod attachments;
mod bus_keys;
mod keyring;
mod report;
mod retained;
mod retention;
mod service;
mod sweep;

pub use attachments::{AttachmentService, AttachmentSettings, ObjectPlace, S3Place};
pub use bus_keys::BusKeyService;
pub use report::RetentionReports;
pub use service::StorageService;
pub use sweep::{RetentionService, Swept};
