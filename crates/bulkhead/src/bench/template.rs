//! A message that is built once; each time it is sent only its client id and its stamp are new.

use bulkhead_client::{frames, text_body};
use bulkhead_model::AppKey;
use bulkhead_msync::proto::MessageBody;
use bulkhead_msync::proto::message_body::Type;

use super::socket::whole_frame;

/// What the text of a message starts with, so that its receiver knows when it was meant to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Counts the messages of one sender from 1.
    pub(super) sequence: u32,
    /// Nanoseconds since the run began.
    pub(super) intended_ns: u64,
}

/// Hex digits of a stamp.
pub(super) const STAMP_BYTES: usize = 24;

/// Client ids of this form take nine bytes on the wire, so that one can be put in the place of another: bit 62 is set.
const CLIENT_ID_BIT: u64 = 1 << 62;
/// Bits of a client id that count the messages of one sender.
const SEQUENCE_BITS: u32 = 20;
/// Bytes of such a client id.
const CLIENT_ID_BYTES: usize = 9;

/// The frame from one user to another.
pub(super) struct Template {
    frame: Vec<u8>,
    client_id_at: usize,
    stamp_at: usize,
    client_id_base: u64,
}

impl Stamp {
    /// What `Template::stamped` writes.
    #[cfg(test)]
    pub(super) fn text(self) -> String {
        format!("{:08x}{:016x}", self.sequence, self.intended_ns)
    }

    /// Reads the start of a text.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        let (sequence, intended) = text.get(..STAMP_BYTES)?.split_at(8);
        Some(Self { sequence: hex(sequence)? as u32, intended_ns: hex(intended)? })
    }
}

impl Template {
    /// A text of `text_bytes` bytes, at least those of a stamp. `now_ms` keeps the client ids of one run apart from
    /// those of another. `kind` says whether it goes to a user, a group or a room.
    pub(super) fn new(
        app: &AppKey,
        (from, to): (&str, &str),
        kind: Type,
        text_bytes: usize,
        now_ms: u64,
    ) -> Self {
        let client_id_base = CLIENT_ID_BIT | (now_ms << SEQUENCE_BITS);
        let placeholder = "~".repeat(STAMP_BYTES);
        let filler = "Lorem ipsum dolor sit amet, consectetur adipisici elit. ";
        let filler: String = filler.chars().cycle().take(text_bytes.saturating_sub(STAMP_BYTES)).collect();
        let text = text_body(from, to, &format!("{placeholder}{filler}"));
        let body = MessageBody { r#type: Some(kind.into()), ..text };
        let frame = whole_frame(&frames::send(client_id_base, app, to, &body));
        let place = |of: &[u8]| frame.windows(of.len()).position(|window| window == of);
        let client_id_at = place(&client_id_bytes(client_id_base)).expect("the frame holds its client id");
        let stamp_at = place(placeholder.as_bytes()).expect("the frame holds its text");
        Self { frame, client_id_at, stamp_at, client_id_base }
    }

    /// The frame of a message.
    pub(super) fn stamped(&mut self, stamp: Stamp) -> &[u8] {
        let client_id = client_id_bytes(self.client_id_base + u64::from(stamp.sequence));
        self.frame[self.client_id_at..][..CLIENT_ID_BYTES].copy_from_slice(&client_id);
        let place = &mut self.frame[self.stamp_at..][..STAMP_BYTES];
        write_hex(&mut place[..8], u64::from(stamp.sequence));
        write_hex(&mut place[8..], stamp.intended_ns);
        &self.frame
    }

    /// The sequence that was sent under a client id.
    pub(super) fn sequence_of(&self, client_id: u64) -> Option<u32> {
        client_id.checked_sub(self.client_id_base).and_then(|sequence| u32::try_from(sequence).ok())
    }
}

/// Most messages of one sender in a run.
pub(super) const SEQUENCE_MAX: u32 = (1 << SEQUENCE_BITS) - 1;

fn client_id_bytes(mut id: u64) -> [u8; CLIENT_ID_BYTES] {
    let mut bytes = [0; CLIENT_ID_BYTES];
    for byte in &mut bytes {
        *byte = id as u8 | 0x80;
        id >>= 7;
    }
    bytes[CLIENT_ID_BYTES - 1] &= 0x7f;
    bytes
}

fn write_hex(out: &mut [u8], mut value: u64) {
    for digit in out.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(value & 0xf) as usize];
        value >>= 4;
    }
}

fn hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some((value << 4) | u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use bulkhead_msync::codec::{UpFrame, decode};

    use super::*;

    #[test]
    fn a_stamped_frame_is_the_message_that_the_client_would_build() {
        let app: AppKey = "demo#chat".parse().unwrap();
        let mut template = Template::new(&app, ("a", "b"), Type::Chat, 100, 1_800_000_000_000);
        let stamp = Stamp { sequence: 77, intended_ns: 123_456_789 };
        let frame = template.stamped(stamp).to_vec();
        // Behind the header of four bytes and the mask of four.
        let Ok(UpFrame::Send(message)) = decode(&frame[8..].to_vec().into()) else { panic!("no message") };
        assert_eq!(template.sequence_of(message.client_id), Some(77));
        assert_eq!(message.to, "b");
        let text = [stamp.text().as_bytes(), &b"Lorem ipsum"[..]].concat();
        assert!(message.payload.windows(text.len()).any(|window| window == text));
        assert_eq!(template.sequence_of(1), None);
    }

    #[test]
    fn stamps_read_back_and_other_texts_are_none() {
        let stamp = Stamp { sequence: u32::MAX, intended_ns: u64::MAX };
        assert_eq!(Stamp::read(stamp.text().as_bytes()), Some(stamp));
        assert_eq!(Stamp::read(b"short"), None);
        assert_eq!(Stamp::read(&[b'~'; STAMP_BYTES]), None);
    }
}
