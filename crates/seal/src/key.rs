use aes_gcm::aead::KeyInit;
use aes_gcm::{Aes256Gcm, Key};
use hkdf::Hkdf;
use sha2::Sha256;
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

/// Separates what is derived from the region key from its use as a cipher's key (RFC 5869, the salt).
const DERIVATION_SALT: &[u8] = b"bulkhead region key";

/// The key that wraps data keys and that other keys are derived from; it seals nothing else.
pub struct RegionKey {
    cipher: Aes256Gcm,
    /// What other keys are expanded from.
    root: Zeroizing<[u8; KEY_BYTES]>,
}

impl RegionKey {
    /// Takes the bytes of a key and clears them.
    pub fn new(bytes: &mut [u8; KEY_BYTES]) -> Self {
        let cipher = cipher_of(bytes);
        let mut root = Zeroizing::new([0; KEY_BYTES]);
        let (mut extracted, _) = Hkdf::<Sha256>::extract(Some(DERIVATION_SALT), &*bytes);
        root.copy_from_slice(&extracted);
        extracted.zeroize();
        bytes.zeroize();
        Self { cipher, root }
    }

    /// Reads 64 hex digits (white space around them is ignored); `None` for anything else.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = Zeroizing::new([0u8; KEY_BYTES]);
        hex::decode_to_slice(text.trim(), &mut *bytes).ok()?;
        Some(Self::new(&mut bytes))
    }

    /// A further key for a purpose that is not wrapping (HKDF-SHA-256, RFC 5869). From it nothing of the region key and
    /// of other purposes' keys can be told.
    pub fn derive(&self, purpose: &[u8]) -> Zeroizing<[u8; KEY_BYTES]> {
        derive_key(&self.root, purpose)
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

/// A key for a purpose, from a key that is used for nothing else (HKDF-SHA-256, RFC 5869, the expanding half).
pub fn derive_key(root: &[u8; KEY_BYTES], purpose: &[u8]) -> Zeroizing<[u8; KEY_BYTES]> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    let expanding = Hkdf::<Sha256>::from_prk(root).expect("a root is as long as SHA-256's output");
    expanding.expand(purpose, &mut *key).expect("a key is shorter than HKDF's limit of 255 outputs");
    key
}

fn cipher_of(bytes: &[u8; KEY_BYTES]) -> Aes256Gcm {
    Aes256Gcm::new(&Key::<Aes256Gcm>::from(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_keys_depend_on_the_region_key_and_the_purpose_alone() {
        let region = RegionKey::from_hex(&"ab".repeat(32)).unwrap();
        let key = region.derive(b"bus");
        assert_eq!(key, RegionKey::from_hex(&"ab".repeat(32)).unwrap().derive(b"bus"));
        assert_ne!(key, region.derive(b"bus2"));
        assert_ne!(key, RegionKey::from_hex(&"ac".repeat(32)).unwrap().derive(b"bus"));
        assert_ne!(derive_key(&key, b"1"), derive_key(&key, b"2"));
    }

    /// Made with another implementation of HKDF (Node's `hkdfSync`): it is part of what nodes of a region agree on.
    #[test]
    fn a_known_key_is_derived() {
        let region = RegionKey::from_hex(&"ab".repeat(32)).unwrap();
        assert_eq!(hex::encode(*region.derive(b"bus")), KNOWN);
    }

    const KNOWN: &str = "3b8841b4386aa7b6ec3beeeffea36214cc6ac67858a1be0d71ac297bdf5cbeb8";
}
