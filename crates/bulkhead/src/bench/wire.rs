//! Reads what the server sends while messages flow, in place and without building values.

use std::ops::ControlFlow;

use super::template::Stamp;

/// What a frame of the server means to the generator.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Down {
    /// Acknowledged client id and status code.
    pub(super) ack: Option<(u64, u64)>,
    /// The key of a page that answers a pull.
    pub(super) next_key: Option<u64>,
    pub(super) is_last: bool,
    pub(super) is_notice: bool,
    pub(super) messages: usize,
}

/// Reads a frame and hands every stamp in its messages to `on_message`. `None` for a frame that is not understood.
pub(super) fn read(frame: &[u8], mut on_message: impl FnMut(Stamp)) -> Option<Down> {
    const SYNC: u64 = 0;
    const NOTICE: u64 = 2;
    let (mut command, mut payload): (u64, &[u8]) = (0, &[]);
    fields(frame, |number, value| {
        match (number, value) {
            (8, Value::Varint(value)) => command = value,
            (9, Value::Bytes(bytes)) => payload = bytes,
            _ => {}
        }
        ControlFlow::Continue(())
    })?;
    let mut down = Down { is_notice: command == NOTICE, ..Down::default() };
    if command != SYNC {
        return Some(down);
    }
    let (mut code, mut meta_id) = (0, None);
    fields(payload, |number, value| {
        match (number, value) {
            (1, Value::Bytes(status)) => code = varint_in(status, 1).unwrap_or(0),
            (2, Value::Varint(id)) => meta_id = Some(id),
            (4, Value::Bytes(meta)) => {
                down.messages += 1;
                if let Some(stamp) = stamp_in(meta) {
                    on_message(stamp);
                }
            }
            (5, Value::Varint(key)) => down.next_key = Some(key),
            (7, Value::Varint(value)) => down.is_last = value != 0,
            _ => {}
        }
        ControlFlow::Continue(())
    })?;
    down.ack = meta_id.map(|id| (id, code));
    Some(down)
}

/// `Meta.payload` → `MessageBody.contents` → `Content.text`, which starts with the stamp.
fn stamp_in(meta: &[u8]) -> Option<Stamp> {
    const PATH: [u32; 3] = [6, 4, 2];
    let mut bytes = meta;
    for number in PATH {
        bytes = bytes_in(bytes, number)?;
    }
    Stamp::read(bytes)
}

fn bytes_in(message: &[u8], wanted: u32) -> Option<&[u8]> {
    let mut found = None;
    fields(message, |number, value| match value {
        Value::Bytes(bytes) if number == wanted => {
            found = Some(bytes);
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    })?;
    found
}

fn varint_in(message: &[u8], wanted: u32) -> Option<u64> {
    let mut found = None;
    fields(message, |number, value| match value {
        Value::Varint(value) if number == wanted => {
            found = Some(value);
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    })?;
    found
}

enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
}

/// Walks the fields of a message until it is told to stop; `None` when the bytes are none.
fn fields<'a>(bytes: &'a [u8], mut each: impl FnMut(u32, Value<'a>) -> ControlFlow<()>) -> Option<()> {
    let mut at = 0;
    while at < bytes.len() {
        let tag = varint(bytes, &mut at)?;
        let value = match tag & 7 {
            0 => Value::Varint(varint(bytes, &mut at)?),
            2 => {
                let length = usize::try_from(varint(bytes, &mut at)?).ok()?;
                let value = bytes.get(at..at.checked_add(length)?)?;
                at += length;
                Value::Bytes(value)
            }
            1 | 5 => {
                at += if tag & 7 == 1 { 8 } else { 4 };
                continue;
            }
            _ => return None,
        };
        if each((tag >> 3) as u32, value).is_break() {
            break;
        }
    }
    Some(())
}

fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use bulkhead_client::text_body;
    use bulkhead_msync::proto::Meta;
    use bulkhead_msync::{Queue, QueueKind, codec};
    use prost::Message as _;

    use super::*;

    fn bob() -> Queue {
        Queue::new(QueueKind::Direct, "bob")
    }

    fn no_message(_: Stamp) {
        panic!("no message in this frame");
    }

    #[test]
    fn acknowledgements_and_refusals_are_read() {
        let down = read(&codec::send_ack(77, 99, 5, &[]), no_message).unwrap();
        assert_eq!((down.ack, down.messages), (Some((77, 0)), 0));
        let refusal = codec::RefusedSend { code: 7, reason: "traffic limit" };
        let down = read(&codec::send_refused(78, refusal, 5), no_message).unwrap();
        assert_eq!(down.ack, Some((78, 7)));
    }

    #[test]
    fn pushes_pages_and_notices_are_read() {
        let stamp = Stamp { sequence: 3, intended_ns: 12_345 };
        let text = format!("{} and more", stamp.text());
        let payload = text_body("alice", "bob", &text).encode_to_vec();
        let meta = Meta { id: Some(9), payload: Some(payload.into()), ..Meta::default() }.encode_to_vec();
        let mut stamps = Vec::new();
        let down = read(&codec::delivery(&bob(), &meta), |stamp| stamps.push(stamp)).unwrap();
        assert_eq!((down.messages, down.is_last, down.ack), (1, true, None));
        let page = codec::page(&bob(), [&meta[..], &meta[..]].into_iter(), 9, true, 1);
        let down = read(&page, |stamp| stamps.push(stamp)).unwrap();
        assert_eq!((down.messages, down.next_key, down.is_last), (2, Some(9), false));
        assert_eq!(stamps, [stamp; 3]);
        assert!(read(&codec::notice(&bob()), no_message).unwrap().is_notice);
    }

    #[test]
    fn broken_bytes_are_no_frame() {
        for bytes in [&[0x80][..], &[0x0a, 0x05, 0x00], &[0x0b], &[0xff; 12]] {
            assert_eq!(read(bytes, no_message), None);
        }
    }
}
