//! Frames on a TLS connection without HTTP and WebSocket: `docs/private-transport.md`.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::Malformed;

/// The name by which client and server agree on it in the TLS handshake (ALPN, RFC 7301).
pub const TRANSPORT_ALPN: &[u8] = b"bulkhead-msync/1";

/// Largest payload of a ping, pong or close, in bytes, as for WebSockets (RFC 6455 §5.5).
const CONTROL_BYTES_MAX: usize = 125;

/// Bytes before the payload: the length of what follows, and the kind.
const HEAD_BYTES: usize = 5;

/// One frame of the transport. Ping, pong and close mean what they mean on a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransportFrame {
    /// An encoded `MSync`.
    Message(Bytes),
    Ping(Bytes),
    Pong(Bytes),
    /// With a close code of RFC 6455 §7.4.1.
    Close(u16),
}

/// Why a frame cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportError {
    TooLarge,
    Malformed,
}

impl From<Malformed> for TransportError {
    fn from(Malformed: Malformed) -> Self {
        Self::Malformed
    }
}

impl TransportFrame {
    /// Appends the frame.
    pub fn encode(&self, to: &mut BytesMut) {
        let code;
        let (kind, payload): (u8, &[u8]) = match self {
            Self::Message(payload) => (0, payload),
            Self::Ping(payload) => (1, payload),
            Self::Pong(payload) => (2, payload),
            Self::Close(number) => {
                code = number.to_be_bytes();
                (3, &code)
            }
        };
        to.reserve(HEAD_BYTES + payload.len());
        to.put_u32(1 + payload.len() as u32);
        to.put_u8(kind);
        to.put_slice(payload);
    }

    /// Takes the first frame; `None` when more bytes are needed. A message may have `message_bytes_max` bytes.
    pub fn decode(from: &mut BytesMut, message_bytes_max: usize) -> Result<Option<Self>, TransportError> {
        let Some(head) = from.first_chunk::<HEAD_BYTES>() else { return Ok(None) };
        let [length @ .., kind] = *head;
        let length = u32::from_be_bytes(length) as usize;
        let Some(payload_length) = length.checked_sub(1) else { return Err(TransportError::Malformed) };
        let payload_max = if kind == 0 { message_bytes_max } else { CONTROL_BYTES_MAX };
        if payload_length > payload_max {
            return Err(TransportError::TooLarge);
        }
        if from.len() < HEAD_BYTES + payload_length {
            from.reserve(HEAD_BYTES + payload_length - from.len());
            return Ok(None);
        }
        from.advance(HEAD_BYTES);
        let payload = from.split_to(payload_length).freeze();
        Ok(Some(match kind {
            0 => Self::Message(payload),
            1 => Self::Ping(payload),
            2 => Self::Pong(payload),
            3 => Self::Close(u16::from_be_bytes(*payload.as_array().ok_or(Malformed)?)),
            _ => return Err(TransportError::Malformed),
        }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX: usize = 300;

    fn frame() -> impl Strategy<Value = TransportFrame> {
        let bytes = |max| prop::collection::vec(any::<u8>(), 0..=max).prop_map(Bytes::from);
        prop_oneof![
            bytes(MAX).prop_map(TransportFrame::Message),
            bytes(CONTROL_BYTES_MAX).prop_map(TransportFrame::Ping),
            bytes(CONTROL_BYTES_MAX).prop_map(TransportFrame::Pong),
            any::<u16>().prop_map(TransportFrame::Close),
        ]
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_however_it_is_cut(frames in prop::collection::vec(frame(), 0..8), cut in 1usize..40) {
            let mut written = BytesMut::new();
            frames.iter().for_each(|frame| frame.encode(&mut written));
            let (mut read, mut buffer) = (Vec::new(), BytesMut::new());
            for piece in written.chunks(cut) {
                buffer.extend_from_slice(piece);
                while let Some(frame) = TransportFrame::decode(&mut buffer, MAX).unwrap() {
                    read.push(frame);
                }
            }
            prop_assert_eq!(read, frames);
            prop_assert!(buffer.is_empty());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut bytes = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = TransportFrame::decode(&mut bytes, MAX) {}
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_description() {
        let mut bytes = BytesMut::new();
        TransportFrame::Message(Bytes::from_static(b"ab")).encode(&mut bytes);
        TransportFrame::Close(1008).encode(&mut bytes);
        assert_eq!(&bytes[..], [0, 0, 0, 3, 0, b'a', b'b', 0, 0, 0, 3, 3, 0x03, 0xF0]);
    }

    #[test]
    fn what_is_too_large_is_refused_before_it_has_come() {
        for (head, error) in [
            (&[0, 0, 1, 46, 0][..], TransportError::TooLarge),
            (&[0, 0, 0, 127, 1], TransportError::TooLarge),
            (&[0, 0, 0, 0, 0], TransportError::Malformed),
            (&[0, 0, 0, 1, 9], TransportError::Malformed),
            (&[0, 0, 0, 2, 3, 1], TransportError::Malformed),
        ] {
            assert_eq!(TransportFrame::decode(&mut BytesMut::from(head), MAX), Err(error), "{head:?}");
        }
        assert_eq!(TransportFrame::decode(&mut BytesMut::from(&[0, 0, 1, 45, 0][..]), MAX), Ok(None));
    }
}
