use aes_gcm::aead::KeyInit;
use aes_gcm::{Aes256Gcm, Key};
use zeroize::{Zeroize, Zeroizing};

use crate::value::{open_with, seal_with};
use crate::{DoesNotOpen, NONCE_BYTES, RowIdentity};

/// Bytes of every key.
pub const KEY_BYTES: usize = 32;

/// A key that seals values. Its schedule is expanded once; memory is cleared when it is dropped.
pub struct DataKey {
    pub(crate) version: u32,
    pub(crate) cipher: Aes256Gcm,
}

impl DataKey {
    /// Takes the bytes of a key and clears them.
    pub fn new(version: u32, bytes: &mut [u8; KEY_BYTES]) -> Self {
        let cipher = cipher_of(bytes);
        bytes.zeroize();
        Self { version, cipher }
    }

    /// The version that sealed values name.
    pub fn version(&self) -> u32 {
        self.version
    }
}

/// The key that wraps data keys; it seals nothing else.
pub struct RegionKey {
    cipher: Aes256Gcm,
}

impl RegionKey {
    /// Takes the bytes of a key and clears them.
    pub fn new(bytes: &mut [u8; KEY_BYTES]) -> Self {
        let cipher = cipher_of(bytes);
        bytes.zeroize();
        Self { cipher }
    }

    /// Reads 64 hex digits (white space around them is ignored); `None` for anything else.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = Zeroizing::new([0u8; KEY_BYTES]);
        hex::decode_to_slice(text.trim(), &mut *bytes).ok()?;
        Some(Self::new(&mut bytes))
    }

    /// Wraps a data key for its place.
    pub fn wrap(&self, key: &[u8; KEY_BYTES], place: &RowIdentity<'_>, nonce: [u8; NONCE_BYTES]) -> Vec<u8> {
        seal_with(&self.cipher, 0, place, nonce, key)
    }

    /// Unwraps a data key; fails for another region key or another place.
    pub fn unwrap(
        &self,
        wrapped: &[u8],
        place: &RowIdentity<'_>,
    ) -> Result<Zeroizing<[u8; KEY_BYTES]>, DoesNotOpen> {
        let mut opened = open_with(&self.cipher, 0, place, wrapped)?;
        let key = <[u8; KEY_BYTES]>::try_from(opened.as_slice()).map_err(|_| DoesNotOpen);
        opened.zeroize();
        Ok(Zeroizing::new(key?))
    }
}

fn cipher_of(bytes: &[u8; KEY_BYTES]) -> Aes256Gcm {
    Aes256Gcm::new(&Key::<Aes256Gcm>::from(*bytes))
}
