//! MSYNC: codec and sans-IO session. Bytes and the time in, commands out.

/// The wire types, generated from `proto/msync/msync.proto`.
#[allow(clippy::all, missing_docs, unreachable_pub, reason = "generated code follows its generator's style")]
pub mod proto {
    include!("gen/msync.rs");
}
