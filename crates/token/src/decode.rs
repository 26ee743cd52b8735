use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::bufread::ZlibDecoder;

use crate::limits::{SIGNATURE_BYTES, TEXT_BYTES_MAX, is_32_hex_digits};
use crate::pack::Reader;
use crate::{AccessToken, CONTENT_BYTES_MAX, PREFIX, Service, TokenError};

/// A token that has been read and not yet believed: what it says, and the bytes that its signature must cover.
///
/// Not `Debug`, because whoever has the signature has the token.
#[derive(Clone)]
pub struct SignedToken {
    pub(crate) signature: [u8; SIGNATURE_BYTES],
    pub(crate) signing_info: Vec<u8>,
    pub(crate) token: AccessToken,
}

impl SignedToken {
    /// Whether a text claims to be an AccessToken2.
    pub fn is_claimed_by(text: &str) -> bool {
        text.starts_with(PREFIX)
    }

    /// Reads a token (§6.6, steps 1 and 2).
    ///
    /// A service of an unknown number ends the reading of services, and the signature still covers all bytes. Errors:
    /// `Malformed`, and `TooLarge` when the content inflates beyond 64 KiB.
    pub fn decode(text: &str) -> Result<Self, TokenError> {
        let packed = text.strip_prefix(PREFIX).ok_or(TokenError::Malformed)?;
        if packed.len() > TEXT_BYTES_MAX {
            return Err(TokenError::TooLarge);
        }
        let packed = STANDARD.decode(packed).map_err(|_| TokenError::Malformed)?;
        Self::read(&inflate(&packed)?)
    }

    /// The App ID that the token names: where to look for the certificate that can verify it.
    pub fn app_id(&self) -> &str {
        &self.token.app_id
    }

    /// What the token says, verified or not.
    pub fn claims(&self) -> &AccessToken {
        &self.token
    }

    fn read(content: &[u8]) -> Result<Self, TokenError> {
        let mut reader = Reader::new(content);
        let signature = reader.bytes()?.try_into().map_err(|_| TokenError::Malformed)?;
        let signing_info = reader.rest().to_vec();
        let app_id = reader.text()?;
        if !is_32_hex_digits(&app_id) {
            return Err(TokenError::Malformed);
        }
        let issued_s = reader.u32()?;
        let life_s = reader.u32()?;
        let salt = reader.u32()?;
        let mut services = Vec::new();
        for _ in 0..reader.u16()? {
            match Service::read(&mut reader)? {
                Some(service) => services.push(service),
                None => break,
            }
        }
        let token = AccessToken { app_id, issued_s, life_s, salt, services };
        Ok(Self { signature, signing_info, token })
    }
}

fn inflate(packed: &[u8]) -> Result<Vec<u8>, TokenError> {
    let mut decoder = ZlibDecoder::new(packed);
    let mut content = Vec::with_capacity(512);
    let limit = CONTENT_BYTES_MAX as u64 + 1;
    decoder.by_ref().take(limit).read_to_end(&mut content).map_err(|_| TokenError::Malformed)?;
    if content.len() > CONTENT_BYTES_MAX {
        return Err(TokenError::TooLarge);
    }
    // No encoder leaves anything behind the stream; bytes there are not covered by any checksum.
    if decoder.total_in() == packed.len() as u64 { Ok(content) } else { Err(TokenError::Malformed) }
}
