//! Generated code of the internal gRPC services and of stored records.
//!
//! The sources are `proto/bulkhead/**`. `cargo xtask codegen` writes `src/gen`, and a test of xtask fails when the tree
//! differs from its sources. No protoc is needed.

/// What the values of stored rows look like before they are sealed.
#[allow(clippy::all)]
pub mod records {
    include!("gen/bulkhead.records.v1.rs");
}

/// Attachments, a part of the storage service.
#[allow(clippy::all)]
pub mod attachments {
    include!("gen/bulkhead.attachments.v1.rs");
}

/// The auth service.
#[allow(clippy::all)]
pub mod auth {
    include!("gen/bulkhead.auth.v1.rs");
}

/// The router service.
#[allow(clippy::all)]
pub mod router {
    include!("gen/bulkhead.router.v1.rs");
}

/// The storage service.
#[allow(clippy::all)]
pub mod storage {
    include!("gen/bulkhead.storage.v1.rs");
}
