//! The services as traits.
//!
//! A caller holds an `Arc<dyn AuthApi>` or `Arc<dyn RouterApi>` and cannot tell a service in its own process from one
//! behind gRPC. (The storage service's trait is the storage port itself, `bulkhead_store::Store`.) Requests and answers
//! are the messages of `proto/bulkhead/**`: one definition serves both, and no conversion stands between them.

mod attachments;
mod auth;
pub mod path;
mod retention;
mod router;

pub use attachments::{AttachmentApi, AttachmentStream, AttachmentUpload};
pub use auth::AuthApi;
pub use retention::RetentionApi;
pub use router::{DeliverySink, PendingPublish, RouterApi};
