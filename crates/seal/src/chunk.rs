//! Files, sealed chunk by chunk.
//!
//! A file is cut into chunks of [`CHUNK_BYTES`]; only the last one may be shorter. Each is sealed like any value, and its
//! additional data say which file it is of, which chunk it is, and whether it is the last one. So a range can be opened
//! without the rest, and a file that is cut off, lengthened, reordered or put together from others does not open.

use crate::{DataKey, DoesNotOpen, NONCE_BYTES, RowIdentity, open, seal};

/// Bytes of every chunk of a file but the last, before it is sealed.
pub const CHUNK_BYTES: usize = 64 * 1024;

/// What sealing adds to a chunk, in bytes.
pub const CHUNK_OVERHEAD_BYTES: usize = crate::value::OVERHEAD_BYTES;

/// Stands for the table in the additional data; no table has a name with a space.
const PLACE: &str = "attachment chunk";

/// Which chunk of which file.
#[derive(Clone, Copy, Debug)]
pub struct ChunkIdentity<'a> {
    /// Name of the region.
    pub region: &'a str,
    /// The 16 bytes of the app's identity.
    pub app: &'a [u8],
    /// The 16 bytes of the file's.
    pub file: &'a [u8],
    /// Counts from 0.
    pub number: u64,
    pub is_last: bool,
}

/// Seals one chunk. `nonce` must be random and used once.
pub fn seal_chunk(
    key: &DataKey,
    chunk: &ChunkIdentity<'_>,
    nonce: [u8; NONCE_BYTES],
    bytes: &[u8],
) -> Vec<u8> {
    seal(key, &chunk.place(&chunk.clustering()), nonce, bytes)
}

/// Opens a sealed chunk with the key of the version that it names ([`key_version_of`](crate::key_version_of)).
pub fn open_chunk(key: &DataKey, chunk: &ChunkIdentity<'_>, sealed: &[u8]) -> Result<Vec<u8>, DoesNotOpen> {
    open(key, &chunk.place(&chunk.clustering()), sealed)
}

impl ChunkIdentity<'_> {
    fn clustering(&self) -> [u8; 9] {
        let mut bytes = [0; 9];
        bytes[..8].copy_from_slice(&self.number.to_be_bytes());
        bytes[8] = self.is_last.into();
        bytes
    }

    fn place<'a>(&'a self, clustering: &'a [u8]) -> RowIdentity<'a> {
        RowIdentity { region: self.region, scope: self.app, table: PLACE, partition: self.file, clustering }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::KEY_BYTES;

    const CHUNK: ChunkIdentity<'static> =
        ChunkIdentity { region: "singapore", app: &[1; 16], file: &[2; 16], number: 3, is_last: false };

    fn key() -> DataKey {
        DataKey::new(1, &mut [7; KEY_BYTES])
    }

    /// A file of `bytes`, sealed in chunks of `size` bytes.
    fn sealed_file(file: &[u8; 16], bytes: &[u8], size: usize) -> Vec<Vec<u8>> {
        let last = bytes.chunks(size).count() - 1;
        let seal = |(number, chunk): (usize, &[u8])| {
            let place = ChunkIdentity { file, number: number as u64, is_last: number == last, ..CHUNK };
            seal_chunk(&key(), &place, [number as u8; NONCE_BYTES], chunk)
        };
        bytes.chunks(size).enumerate().map(seal).collect()
    }

    /// What a reader gets who takes the last chunk there is for the last one.
    fn opened_file(file: &[u8; 16], sealed: &[Vec<u8>]) -> Result<Vec<u8>, DoesNotOpen> {
        let mut bytes = Vec::new();
        for (number, chunk) in sealed.iter().enumerate() {
            let is_last = number + 1 == sealed.len();
            let place = ChunkIdentity { file, number: number as u64, is_last, ..CHUNK };
            bytes.extend(open_chunk(&key(), &place, chunk)?);
        }
        Ok(bytes)
    }

    #[test]
    fn a_chunk_opens_as_itself_only() {
        let sealed = seal_chunk(&key(), &CHUNK, [9; NONCE_BYTES], b"hello");
        assert_eq!(sealed.len(), 5 + CHUNK_OVERHEAD_BYTES);
        assert_eq!(open_chunk(&key(), &CHUNK, &sealed).unwrap(), b"hello");
        let elsewhere = [
            ChunkIdentity { region: "frankfurt", ..CHUNK },
            ChunkIdentity { app: &[3; 16], ..CHUNK },
            ChunkIdentity { file: &[3; 16], ..CHUNK },
            ChunkIdentity { number: 4, ..CHUNK },
            ChunkIdentity { is_last: true, ..CHUNK },
        ];
        for chunk in elsewhere {
            assert_eq!(open_chunk(&key(), &chunk, &sealed), Err(DoesNotOpen), "{chunk:?}");
        }
        let row = RowIdentity {
            region: CHUNK.region,
            scope: CHUNK.app,
            table: "attachments",
            partition: CHUNK.file,
            clustering: &CHUNK.clustering(),
        };
        assert_eq!(open(&key(), &row, &sealed), Err(DoesNotOpen), "a chunk is no row");
    }

    proptest! {
        #[test]
        fn a_file_opens_whole_and_in_order_or_not_at_all(
            bytes in prop::collection::vec(any::<u8>(), 33..200),
            cut in any::<prop::sample::Index>(),
            one in any::<prop::sample::Index>(),
            other in any::<prop::sample::Index>(),
        ) {
            let (file, another) = ([2; 16], [3; 16]);
            let sealed = sealed_file(&file, &bytes, 16);
            prop_assert_eq!(opened_file(&file, &sealed).unwrap(), &bytes[..]);

            let truncated = &sealed[..cut.index(sealed.len() - 1) + 1];
            prop_assert!(truncated.len() == sealed.len() || opened_file(&file, truncated).is_err());

            let (one, other) = (one.index(sealed.len()), other.index(sealed.len()));
            let mut reordered = sealed.clone();
            reordered.swap(one, other);
            prop_assert!(one == other || opened_file(&file, &reordered).is_err());

            let mut spliced = sealed.clone();
            spliced[one] = sealed_file(&another, &bytes, 16).swap_remove(one);
            prop_assert!(opened_file(&file, &spliced).is_err());

            let mut longer = sealed.clone();
            longer.push(sealed[one].clone());
            prop_assert!(opened_file(&file, &longer).is_err());
        }
    }
}
