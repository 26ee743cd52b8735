use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The keyed HMAC that has taken in `signing_info`; finish it to sign, or let it verify in constant time (§6.4).
pub(crate) fn signature(certificate: &str, issued_s: u32, salt: u32, signing_info: &[u8]) -> Hmac<Sha256> {
    let first = mac(&issued_s.to_le_bytes(), certificate.as_bytes()).finalize().into_bytes();
    let key = mac(&salt.to_le_bytes(), &first).finalize().into_bytes();
    mac(&key, signing_info)
}

fn mac(key: &[u8], message: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(message);
    mac
}
