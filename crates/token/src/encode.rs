use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use hmac::Mac;

use crate::limits::is_32_hex_digits;
use crate::pack::{put_bytes, put_u16, put_u32};
use crate::signature::signature;
use crate::{AccessToken, CONTENT_BYTES_MAX, PREFIX, TokenError};

impl AccessToken {
    /// Signs the token with an App Certificate and gives its text.
    ///
    /// `InvalidAppId` and `InvalidCertificate` unless both are 32 hex digits; `TooLarge` for a field or content that
    /// the format or a server would refuse. A life over 24 hours encodes, and no server accepts it.
    pub fn encode(&self, certificate: &str) -> Result<String, TokenError> {
        if !is_32_hex_digits(&self.app_id) {
            return Err(TokenError::InvalidAppId);
        }
        if !is_32_hex_digits(certificate) {
            return Err(TokenError::InvalidCertificate);
        }
        let signing_info = self.signing_info()?;
        let tag = signature(certificate, self.issued_s, self.salt, &signing_info).finalize().into_bytes();
        let mut content = Vec::with_capacity(2 + tag.len() + signing_info.len());
        put_bytes(&mut content, &tag)?;
        content.extend_from_slice(&signing_info);
        if content.len() > CONTENT_BYTES_MAX {
            return Err(TokenError::TooLarge);
        }
        Ok(text_of(&content))
    }

    fn signing_info(&self) -> Result<Vec<u8>, TokenError> {
        let mut services: Vec<_> = self.services.iter().collect();
        services.sort_by_key(|service| service.kind.number());
        let mut out = Vec::with_capacity(128);
        put_bytes(&mut out, self.app_id.as_bytes())?;
        put_u32(&mut out, self.issued_s);
        put_u32(&mut out, self.life_s);
        put_u32(&mut out, self.salt);
        put_u16(&mut out, u16::try_from(services.len()).map_err(|_| TokenError::TooLarge)?);
        for service in services {
            service.write(&mut out)?;
        }
        Ok(out)
    }
}

fn text_of(content: &[u8]) -> String {
    let mut encoder = ZlibEncoder::new(Vec::with_capacity(content.len()), Compression::best());
    let packed =
        encoder.write_all(content).and_then(|()| encoder.finish()).expect("writing to memory cannot fail");
    format!("{PREFIX}{}", STANDARD.encode(packed))
}
