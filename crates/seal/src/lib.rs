//! AES-256-GCM for everything stored.
//!
//! A *data key* seals values; the *region key* wraps data keys. What a sealed value belongs to (region, scope, table and
//! key of the row, version of the data key) is its additional data, so that a value copied to another row, app, table or
//! region does not open. Nonces are random 96-bit numbers that the caller brings: this crate reads no randomness.
//! NIST SP 800-38D limits a key to 2^32 random nonces; [`DATA_KEY_USES_MAX`] stays well below.

mod chunk;
mod identity;
mod key;
mod value;

pub use chunk::{CHUNK_BYTES, CHUNK_OVERHEAD_BYTES, ChunkIdentity, open_chunk, seal_chunk};
pub use identity::RowIdentity;
pub use key::{DataKey, KEY_BYTES, RegionKey, derive_key};
pub use value::{NONCE_BYTES, key_version_of, open, seal};

/// Values that one data key may seal before it has to be replaced: 2^31, half of what NIST SP 800-38D allows.
pub const DATA_KEY_USES_MAX: u64 = 1 << 31;

/// A value does not open: another key, another place, or damaged. There is deliberately no more to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sealed value does not open")]
pub struct DoesNotOpen;
