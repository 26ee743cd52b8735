//! Sealed values: 1 byte of format ‖ 4 bytes of key version ‖ 12 bytes of nonce ‖ ciphertext ‖ 16 bytes of tag.

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, Nonce, Tag};

use crate::{DataKey, DoesNotOpen, RowIdentity};

/// Bytes of a nonce.
pub const NONCE_BYTES: usize = 12;

const FORMAT: u8 = 1;
const HEADER_BYTES: usize = 1 + 4 + NONCE_BYTES;
const TAG_BYTES: usize = 16;

/// What sealing adds to a value, in bytes.
pub(crate) const OVERHEAD_BYTES: usize = HEADER_BYTES + TAG_BYTES;

/// Seals a value for its place. `nonce` must be random and used once.
pub fn seal(key: &DataKey, place: &RowIdentity<'_>, nonce: [u8; NONCE_BYTES], value: &[u8]) -> Vec<u8> {
    seal_with(&key.cipher, key.version, place, nonce, value)
}

/// Opens a sealed value in its place with the key of the version that it names ([`key_version_of`]).
pub fn open(key: &DataKey, place: &RowIdentity<'_>, sealed: &[u8]) -> Result<Vec<u8>, DoesNotOpen> {
    open_with(&key.cipher, key.version, place, sealed)
}

/// The version of the key that sealed a value.
pub fn key_version_of(sealed: &[u8]) -> Result<u32, DoesNotOpen> {
    match sealed.split_first_chunk::<5>() {
        Some(([FORMAT, version @ ..], _)) => Ok(u32::from_be_bytes(*version)),
        _ => Err(DoesNotOpen),
    }
}

pub(crate) fn seal_with(
    cipher: &Aes256Gcm,
    version: u32,
    place: &RowIdentity<'_>,
    nonce: [u8; NONCE_BYTES],
    value: &[u8],
) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(HEADER_BYTES + value.len() + TAG_BYTES);
    sealed.push(FORMAT);
    sealed.extend_from_slice(&version.to_be_bytes());
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(value);
    let tag = cipher
        .encrypt_inout_detached(
            &Nonce::from(nonce),
            &place.additional_data(version),
            (&mut sealed[HEADER_BYTES..]).into(),
        )
        .expect("a value is far below the 64 GiB that AES-GCM allows");
    sealed.extend_from_slice(&tag);
    sealed
}

pub(crate) fn open_with(
    cipher: &Aes256Gcm,
    version: u32,
    place: &RowIdentity<'_>,
    sealed: &[u8],
) -> Result<Vec<u8>, DoesNotOpen> {
    if key_version_of(sealed)? != version {
        return Err(DoesNotOpen);
    }
    let (head, tag) = sealed.split_last_chunk::<TAG_BYTES>().ok_or(DoesNotOpen)?;
    let (header, text) = head.split_at_checked(HEADER_BYTES).ok_or(DoesNotOpen)?;
    let nonce = <[u8; NONCE_BYTES]>::try_from(&header[5..]).map_err(|_| DoesNotOpen)?;
    let mut value = text.to_vec();
    cipher
        .decrypt_inout_detached(
            &Nonce::from(nonce),
            &place.additional_data(version),
            value.as_mut_slice().into(),
            &Tag::from(*tag),
        )
        .map_err(|_| DoesNotOpen)?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{KEY_BYTES, RegionKey};

    const PLACE: RowIdentity<'static> = RowIdentity {
        region: "singapore",
        scope: &[1; 16],
        table: "messages",
        partition: b"d:alice:bob",
        clustering: b"12345678",
    };

    fn key(version: u32) -> DataKey {
        DataKey::new(version, &mut [7; KEY_BYTES])
    }

    #[test]
    fn a_value_opens_in_its_place_only() {
        let sealed = seal(&key(3), &PLACE, [9; NONCE_BYTES], b"hello");
        assert_eq!(open(&key(3), &PLACE, &sealed).unwrap(), b"hello");
        assert_eq!(key_version_of(&sealed), Ok(3));
        let elsewhere = [
            RowIdentity { region: "frankfurt", ..PLACE },
            RowIdentity { scope: &[2; 16], ..PLACE },
            RowIdentity { scope: &[], ..PLACE },
            RowIdentity { table: "users", ..PLACE },
            RowIdentity { partition: b"d:alice:carol", ..PLACE },
            RowIdentity { clustering: b"12345679", ..PLACE },
            // The same bytes, cut elsewhere.
            RowIdentity { partition: b"d:alice:bob1", clustering: b"2345678", ..PLACE },
        ];
        for place in elsewhere {
            assert_eq!(open(&key(3), &place, &sealed), Err(DoesNotOpen), "{place:?}");
        }
        assert_eq!(open(&key(4), &PLACE, &sealed), Err(DoesNotOpen), "another version");
        let other = DataKey::new(3, &mut [8; KEY_BYTES]);
        assert_eq!(open(&other, &PLACE, &sealed), Err(DoesNotOpen), "another key");
    }

    /// Made with another implementation of AES-256-GCM (Node's), from the same key, nonce, place and text.
    const KNOWN: &str = "01000000030909090909090909090909094fe0e8f8d17fb37dd825b2cc36939e34fb83846903";

    #[test]
    fn a_known_answer_is_sealed_and_opened() {
        assert_eq!(hex::encode(seal(&key(3), &PLACE, [9; NONCE_BYTES], b"hello")), KNOWN);
        assert_eq!(open(&key(3), &PLACE, &hex::decode(KNOWN).unwrap()).unwrap(), b"hello");
    }

    #[test]
    fn the_bytes_of_a_key_are_cleared_when_it_is_taken() {
        let mut bytes = [7; KEY_BYTES];
        DataKey::new(1, &mut bytes);
        assert_eq!(bytes, [0; KEY_BYTES]);
    }

    #[test]
    fn a_data_key_unwraps_with_its_region_key_in_its_place_only() {
        let region = RegionKey::from_hex(&"ab".repeat(32)).unwrap();
        let wrapped = region.wrap(&[5; KEY_BYTES], &PLACE, [1; NONCE_BYTES]);
        assert_eq!(*region.unwrap(&wrapped, &PLACE).unwrap(), [5; KEY_BYTES]);
        let other = RegionKey::from_hex(&"ac".repeat(32)).unwrap();
        assert!(other.unwrap(&wrapped, &PLACE).is_err());
        assert!(region.unwrap(&wrapped, &RowIdentity { table: "other", ..PLACE }).is_err());
        for wrong in ["", "ab", &"ab".repeat(33), &"zz".repeat(32)] {
            assert!(RegionKey::from_hex(wrong).is_none(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_sealed_opens_and_whatever_is_changed_does_not(
            value in prop::collection::vec(any::<u8>(), 0..300),
            nonce in any::<[u8; NONCE_BYTES]>(),
            at in any::<prop::sample::Index>(),
            bit in 0u8..8,
        ) {
            let key = key(1);
            let sealed = seal(&key, &PLACE, nonce, &value);
            prop_assert_eq!(open(&key, &PLACE, &sealed).unwrap(), value);
            let mut changed = sealed.clone();
            changed[at.index(sealed.len())] ^= 1 << bit;
            prop_assert_eq!(open(&key, &PLACE, &changed), Err(DoesNotOpen));
            prop_assert_eq!(open(&key, &PLACE, &sealed[..at.index(sealed.len())]), Err(DoesNotOpen));
        }
    }
}
